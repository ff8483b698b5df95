// Tests kindred search as a program, and the page it makes.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nearestLines } from '../../../cli/see/nearest-list.ts'
import { galleryPage } from '../../../cli/gallery-page.ts'
import { kindred } from '../../fixtures/cli.ts'
import { HOSTILE, seenSuite } from '../../fixtures/seen.ts'

const test = seenSuite('kindred search')

test('search lists the nearest images, without the image itself', async ({ run, photos, dir }) => {
  const image = join(photos, 'b', '1.png')
  const html = join(dir, 'near.html')
  const args = [image, '--data', `folder:${photos}`, '--k', '7', '--html', html]
  const { code, out, err } = await kindred('search', run, ...args)
  assert.is(code, 0, err)
  const [first, ...rows] = out.trimEnd().split('\n')
  assert.is(first, image)
  assert.is(rows.length, 7)
  assert.match(rows[0] ?? '', /^ {2}1 {2}(1\.000|0\.99\d) b {2}.*copy\.jpg$/)
  assert.not.ok(rows.some((row) => row.endsWith(image)))
  const cosines = rows.map((row) => Number(row.slice(5, 10)))
  assert.equal(
    cosines,
    [...cosines].sort((a, b) => b - a),
  )
  const page = readFileSync(html, 'utf8')
  assert.not.ok(page.includes('<img src=x'))
  assert.ok(page.includes(`title="${join(photos, 'a')}/&lt;img src=x onerror=alert(1)&gt;.png"`))
  const own = page.match(/<img src="data:image\/(webp|png);base64,[^"]+" alt=/g) ?? []
  assert.is(own.length, 8)
  assert.is(page.match(/<img/g)?.length, 8)
  assert.match(err, /^the gallery is .*near\.html$/m)
  const again = await kindred('search', run, ...args)
  assert.is(again.code, 1)
  assert.match(again.err, /--html: .* exists; add --force to replace it/)
})

test('search leaves a file out that is no image, and names it', async ({ run, photos, dir }) => {
  const broken = join(dir, 'broken.png')
  writeFileSync(broken, 'no image')
  const [image, data] = [join(photos, 'a', '1.png'), ['--data', `folder:${photos}`]]
  const alone = await kindred('search', run, image, ...data)
  const both = await kindred('search', run, broken, image, ...data)
  assert.equal([both.code, both.out], [0, alone.out])
  assert.match(both.err, /^1 file left out:\n {2}\S*broken\.png /m)
  const none = await kindred('search', run, broken, ...data)
  assert.equal([none.code, none.out], [1, ''])
  assert.match(none.err, /^kindred: \S*broken\.png .*\n$/, 'before the set is read')
  const missing = await kindred('search', run, broken, join(dir, 'missing.png'), ...data)
  assert.equal([missing.code, missing.out], [1, ''])
  assert.match(
    missing.err,
    /^kindred: none of 2 files is an image; the first: \S*broken\.png .*\n$/,
  )
})

test('classify names the command that makes a network of a run', async ({ run, photos }) => {
  const { code, err } = await kindred('classify', run, join(photos, 'a', '1.png'))
  assert.is(code, 2)
  assert.is(
    err,
    `kindred: ${run}: must be the file of a fine-tuned network, is a folder; make one of this run with: npx kindred eval finetune ${run} --labels 10%\n`,
  )
})

test('search refuses a folder, and says what a JSON line holds', async ({ run, photos }) => {
  const folder = await kindred('search', run, photos)
  assert.is(folder.code, 2)
  assert.is(
    folder.err,
    `kindred: ${photos}: must be an image, is a folder; give --data folder:${photos}\n`,
  )
  const image = join(photos, 'a', HOSTILE)
  const json = await kindred(
    'search',
    run,
    image,
    '--data',
    `folder:${photos}`,
    '--k',
    '1',
    '--json',
  )
  const { results } = JSON.parse(json.out) as {
    readonly results: readonly {
      readonly image: string
      readonly nearest: readonly { readonly path: string; readonly cosine: number }[]
    }[]
  }
  assert.is(results[0]?.image, image)
  assert.is(results[0]?.nearest.length, 1)
  assert.ok((results[0]?.nearest[0]?.cosine ?? 0) <= 1)
})

test('a list fits into 60 columns and shows no control character', () => {
  const names = [`photos/${'deep/'.repeat(20)}last.jpg`, 'a\u001b[31m.jpg']
  const set = { classes: ['a very long name of a class'], labels: Int32Array.of(0, -1) }
  const pictures = { set, names, paths: null, halves: null } as unknown as Parameters<
    typeof nearestLines
  >[1]
  const near = [
    { i: 0, cosine: 0.98765 },
    { i: 1, cosine: -0.1 },
  ]
  const text = nearestLines({ names: ['query.jpg'] }, pictures, [near], 60)
  const lines = text.trimEnd().split('\n')
  assert.ok(lines.every((line) => line.length <= 60))
  assert.match(lines[1] ?? '', /^ {2}1 {2}0\.988 .*… a class {2}.*….*last\.jpg$/)
  assert.not.ok(text.includes('\u001b'))
  const inPipe = nearestLines({ names: ['query.jpg'] }, pictures, [near], Infinity)
  assert.not.ok(inPipe.includes('…'))
})

test('the page escapes every text, and allows no script', () => {
  const evil = `"><script>alert('1')</script>&`
  const page = galleryPage({
    title: evil,
    about: [evil],
    sections: [
      {
        ...{ title: evil, note: evil },
        cards: [{ src: evil, name: evil, label: evil, figure: evil, rank: 1, mark: evil }],
      },
    ],
  })
  assert.not.ok(page.includes('<script'))
  assert.match(page, /Content-Security-Policy" content="default-src 'none'; img-src data:/)
  assert.not.match(page, /https?:/)
})

test.run()
