// Tests kindred curate as a program.

import {
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import * as assert from 'uvu/assert'
import { placesOfList } from '../../../cli/see/labelled-list.ts'
import { kindred } from '../../fixtures/cli.ts'
import { refusesAsync } from '../../fixtures/refusal.ts'
import { seenSuite } from '../../fixtures/seen.ts'

const test = seenSuite('kindred curate')

test('duplicates lists the planted copy, as paths, links and a gallery', async ({
  run,
  photos,
  dir,
}) => {
  const [html, links] = [join(dir, 'copies.html'), join(dir, 'copies')]
  const data = ['--data', `folder:${photos}`]
  const found = await kindred('curate', 'duplicates', run, ...data, '--html', html, '--link', links)
  assert.is(found.code, 0, found.err)
  const pair = ['1.png', 'copy.jpg'].map((name) => join(photos, 'b', name))
  assert.equal(found.out.trim().split('\n').sort(), pair)
  assert.match(found.err, /1 group of near duplicates, 2 of 8 images, from correlation 0\.975 on/)
  assert.match(found.err, /^reading 8 images in grey$/m)
  assert.match(found.err, /^the gallery is .*copies\.html\nthe links are in .*copies$/m)
  assert.match(readFileSync(html, 'utf8'), /Group 1: 2 images/)
  const group = join(links, 'group-0001')
  const made = readdirSync(group).map((name) => join(group, name))
  assert.ok(made.every((path) => lstatSync(path).isSymbolicLink()))
  assert.equal(
    made.map((path) => realpathSync(path)).sort(),
    pair.map((path) => realpathSync(path)),
  )
  assert.ok(pair.every((path) => existsSync(path)))
  const smaller = [...pair].sort((a, b) => statSync(a).size - statSync(b).size)[0] ?? ''
  const spare = await kindred('curate', 'duplicates', run, ...data, '--omit-first')
  assert.is(spare.out, `${smaller}\n`)
  const cosine = ['--threshold', '0.001', '--omit-first', '--null'] // features are from 0 on
  const extra = await kindred('curate', 'duplicates', run, ...data, ...cosine)
  assert.is(extra.out.split('\0').length, 7 + 1)
  assert.match(extra.err, /1 group of near duplicates, 8 of 8 images, from cosine 0\.001 on/)
  const none = join(dir, 'none')
  const single = ['--data', `folder:${join(photos, 'a')}`, '--link', none, '--json']
  const nothing = await kindred('curate', 'duplicates', run, ...single)
  assert.is(nothing.code, 0, nothing.err)
  assert.is((JSON.parse(nothing.out) as { link: unknown }).link, null)
  assert.match(nothing.err, /nothing to link: .*none was not made/)
  assert.not(existsSync(none))
  const taken = await kindred('curate', 'duplicates', run, ...data, '--link', links)
  assert.is(taken.err, `kindred: --link: ${links} exists; name a new folder\n`)
})

test('a note says that outliers have scores, and the gallery has a sentence', async ({
  run,
  photos,
  dir,
}) => {
  const html = join(dir, 'odd.html')
  const args = ['--data', `folder:${photos}`, '--top', '3', '--k', '2', '--html', html]
  const { code, out, err } = await kindred('curate', 'outliers', run, ...args)
  assert.is(code, 0, err)
  assert.is(out.trim().split('\n').length, 3)
  const summary = 'the 3 of 8 images farthest from their 2 nearest others'
  assert.ok(err.includes(`${summary}; --json and --html show the scores\n`), err)
  assert.ok(readFileSync(html, 'utf8').includes(`<p>T${summary.slice(1)}.</p>`))
  const ending = await kindred('curate', 'outliers', run, '--html', join(dir, '.html'))
  assert.match(ending.err, /--html: must have a name before its ending, got .*\.html/)
})

test('outliers and select list as many images as asked, and refuse more', async ({
  run,
  photos,
  dir,
}) => {
  const data = ['--data', `folder:${photos}`]
  const odd = await kindred('curate', 'outliers', run, ...data, '--top', '3', '--k', '2', '--json')
  const { found } = JSON.parse(odd.out) as {
    readonly found: { readonly k: number; readonly images: readonly { readonly score: number }[] }
  }
  assert.is(found.k, 2)
  const scores = found.images.map(({ score }) => score)
  assert.equal(
    scores,
    [...scores].sort((a, b) => b - a),
  )
  assert.is(scores.length, 3)
  const done = join(dir, 'done.txt')
  writeFileSync(done, `${join(photos, 'b', '1.png')}\n`)
  const chosen = await kindred('curate', 'select', '3', run, ...data, '--labelled', done)
  assert.is(chosen.code, 0, chosen.err)
  const paths = chosen.out.trim().split('\n')
  assert.is(new Set(paths).size, 3)
  assert.not.ok(paths.includes(join(photos, 'b', '1.png')))
  assert.match(chosen.err, /3 images of 8 chosen by typical/)
  for (const [given, got] of [
    ['9', '9'],
    ['1e9', '1000000000'],
  ] as const) {
    const many = await kindred('curate', 'select', given, run, ...data)
    assert.is(many.code, 2)
    const words = `must be at most the 8 images without a label, got ${got}\n`
    assert.ok(many.err.endsWith(words), many.err)
  }
})

test('images that are drawn have names, and no files to link to', async ({ run, dir }) => {
  const data = ['--data', 'procedural:6,4']
  const args = ['--method', 'k-centre', '--half', 'test', ...data]
  const named = await kindred('curate', 'select', '2', run, ...args)
  assert.match(named.out, /^test\/\d\ntest\/\d\n$/)
  const linked = await kindred('curate', 'select', '2', run, ...data, '--link', join(dir, 'none'))
  assert.is(linked.code, 2)
  assert.match(
    linked.err,
    /--link: the images of procedural have no files to link to; leave it out/,
  )
  const wrong = await kindred('curate', 'duplicates', run, '--threshold', '1.5')
  assert.is(wrong.err, 'kindred: --threshold: must be a number above 0, at most 1, got 1.5\n')
})

test('a list of labelled images names images of the set', async ({ dir }) => {
  const list = join(dir, 'list.txt')
  writeFileSync(list, 'train/1\r\n\ntrain/1\n')
  const pictures = { names: ['train/0', 'train/1'], paths: null }
  assert.equal(await placesOfList(list, pictures), [1])
  writeFileSync(list, 'train/7\n')
  await refusesAsync(
    () => placesOfList(list, pictures),
    `--labelled: ${list} must name images of the set, one a line; 1 line names none: train/7`,
  )
  writeFileSync(list, `${'a'.repeat(50)}${'b'.repeat(950)}\n`)
  await refusesAsync(
    () => placesOfList(list, pictures),
    `--labelled: ${list} must name images of the set, one a line; 1 line names none: ` +
      `${'a'.repeat(19)}…${'b'.repeat(40)}`,
  )
  writeFileSync(list, `${resolve('x/a.png')}\n`)
  await refusesAsync(
    () => placesOfList(list, pictures, { names: ['x/a.png'], paths: [resolve('x/a.png')] }),
    `--labelled: ${list} must name training images; 1 line names a test image: ` +
      `${resolve('x/a.png')}; list training images alone, by curate --half train`,
  )
})

test.run()
