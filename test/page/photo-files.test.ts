// What the photo page takes in: folders, files of every kind, nothing at all. No test here trains.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { encodeRun } from '../../examples/photos/trainer/run-file.ts'
import { bundled } from '../fixtures/browser.ts'
import { picture } from '../fixtures/images.ts'
import { pageSuite } from '../fixtures/page-suite.ts'
import { photoSet, savedPhotos } from '../fixtures/saved-photos.ts'
import { builtPhotoPage, drop, untilStatus } from '../fixtures/photo-page.ts'

const test = pageSuite('files of the photo page')
const built = builtPhotoPage()

/** Makes a folder for pictures, and removes it after `body`. */
async function withFolder(body: (folder: string) => Promise<void>) {
  const base = await mkdtemp(join(tmpdir(), 'kindred-dropped-'))
  await mkdir(join(base, 'holiday'))
  await body(join(base, 'holiday')).finally(() => rm(base, { recursive: true }))
}

const noticesOf = async (page: Page) => (await page.textContent('#notices')) ?? ''

test('a dropped folder is read with its folders, and what is no picture is named', async ({
  open,
}) => {
  const { folder, headers } = await built
  await withFolder(async (dropped) => {
    for (let i = 0; i < 9; i++) await picture(join(dropped, `day-${i % 2}/${i}.jpg`))
    await picture(join(dropped, 'wide.png'), [9, 9, 9], 60, 10)
    const whole = await sharp(join(dropped, 'wide.png')).png().toBuffer()
    await writeFile(join(dropped, 'cut.png'), whole.subarray(0, whole.length / 2))
    await writeFile(join(dropped, 'words.jpg'), 'these are words')
    await writeFile(join(dropped, 'empty.jpg'), '')
    await writeFile(join(dropped, 'notes.txt'), 'not a picture by its name')
    await writeFile(join(dropped, '.hidden.jpg'), 'hidden')
    const { page, complaints } = await open(folder, {}, headers)
    await page.waitForSelector('#start:not([hidden])')
    await drop(page, [dropped])
    await untilStatus(page, /^Ready/)
    assert.is(await page.textContent('#set-title'), '10 pictures')
    const skipped = (await page.textContent('#skipped')) ?? ''
    assert.match(skipped, /3 files skipped/)
    assert.match(skipped, /holiday\/words\.jpg the browser cannot decode it/)
    assert.match(skipped, /holiday\/empty\.jpg the file is empty/)
    assert.match(skipped, /holiday\/cut\.png the browser cannot decode it/)
    assert.not.match(skipped, /notes|hidden/)
    assert.match(await noticesOf(page), /3 files were skipped, holiday\/cut\.png among them/)
    assert.equal(complaints, [])
  })
})

test('nothing, no picture and one picture are each answered in words', async ({ open }) => {
  const { folder, headers } = await built
  await withFolder(async (dropped) => {
    const { page, complaints } = await open(folder, {}, headers)
    await page.waitForSelector('#start:not([hidden])')
    await drop(page, [dropped])
    await page.waitForSelector('.notice')
    assert.match(await noticesOf(page), /There is nothing in it. Choose a folder/)
    await writeFile(join(dropped, 'notes.txt'), 'words')
    await drop(page, [dropped])
    await page.locator('.notice', { hasText: '1 file, no picture' }).waitFor()
    await writeFile(join(dropped, 'words.jpg'), 'words')
    await drop(page, [dropped])
    await page.locator('.notice', { hasText: 'The file is not a picture' }).waitFor()
    await picture(join(dropped, 'one.jpg'))
    await rm(join(dropped, 'words.jpg'))
    await drop(page, [dropped])
    await untilStatus(page, /^Ready/)
    await page.click('#train')
    await page.waitForSelector('.notice.is-error')
    assert.match(await noticesOf(page), /one picture is too few. Add pictures until/)
    await untilStatus(page, /^Ready/)
    assert.equal(complaints, [])
  })
})

/** Pictures of two colours, left and right, each in another way of saving it. */
async function variants(): Promise<Readonly<Record<string, Buffer>>> {
  const half = (r: number, g: number, b: number) => ({
    create: { width: 20, height: 40, channels: 3 as const, background: { r, g, b } },
  })
  const right = await sharp(half(0, 0, 255))
    .png()
    .toBuffer()
  const both = sharp({ ...half(255, 0, 0), create: { ...half(255, 0, 0).create, width: 40 } })
  const rgb = await both
    .composite([{ input: right, left: 20, top: 0 }])
    .png()
    .toBuffer()
  return {
    'rgb.png': rgb,
    'upright.jpg': await sharp(rgb).jpeg({ quality: 100 }).toBuffer(),
    'turned.jpg': await sharp(rgb)
      .rotate(-90) // EXIF orientation 6 turns it back
      .jpeg({ quality: 100 })
      .withMetadata({ orientation: 6 })
      .toBuffer(),
    'grey.png': await sharp(rgb).greyscale().png().toBuffer(),
    'clear.png': await sharp({
      create: { width: 8, height: 8, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
    })
      .png()
      .toBuffer(),
  }
}

test('grey, transparent and turned pictures are read as they are seen', async ({ open }) => {
  const { page, complaints } = await open('dist', {
    '/index.html': '<!doctype html><link rel="icon" href="data:,">',
    '/decode.js': await bundled(`export * from './examples/photos/trainer/decode.ts'`),
  })
  const files = Object.entries(await variants()).map(
    ([path, bytes]) => [path, bytes.toString('base64')] as const,
  )
  const side = 8
  const found = (await page.evaluate(`(async () => {
    const { decodeFiles } = await import('/decode.js')
    const files = ${JSON.stringify(files)}.map(([path, text]) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
      return { path, file: new File([bytes], path) }
    })
    const read = await decodeFiles(files, { side: ${side}, onFile() {}, isStopped: () => false })
    return { ...read, pixels: [...read.pixels] }
  })()`)) as { names: string[]; pixels: number[]; skipped: unknown[] }
  assert.equal(found.skipped, [])
  assert.equal(
    found.names,
    files.map(([path]) => path),
  )
  const at = (name: string, x: number) => {
    const from = (found.names.indexOf(name) * side * side + 4 * side + x) * 3
    return found.pixels.slice(from, from + 3)
  }
  const isNear = (given: readonly number[], wanted: readonly number[], words: string) =>
    assert.ok(
      given.every((value, c) => Math.abs(value - (wanted[c] ?? NaN)) <= 6),
      `${words}: ${given.join()}`,
    )
  for (const name of ['rgb.png', 'upright.jpg', 'turned.jpg']) {
    isNear(at(name, 1), [255, 0, 0], `${name}, left`)
    isNear(at(name, 6), [0, 0, 255], `${name}, right`)
  }
  const [r = -1, g = -2, b = -3] = at('grey.png', 1)
  assert.ok(r === g && g === b, 'grey')
  isNear(at('clear.png', 3), [255, 255, 255], 'transparent, over white')
  assert.equal(complaints, [])
})

test('without WebGPU the page says so, and what to do', async ({ open }) => {
  const { folder, headers } = await built
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.addInitScript('delete Navigator.prototype.gpu')
  await page.goto(`${site.url}/?pictures=12&test=2&source=8`)
  await page.waitForSelector('[data-id=no-gpu]')
  assert.match(await noticesOf(page), /This browser has no WebGPU.*Chrome and Edge/)
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready to look at. This browser cannot train/)
  const train = page.locator('#train')
  assert.ok(await train.isDisabled())
  assert.match((await train.getAttribute('title')) ?? '', /^This browser has no WebGPU/)
  await train.dispatchEvent('click')
  assert.is(await page.locator('.notice').count(), 1)
  assert.equal(complaints, [])
})

test('on a host without headers, neither the page nor its workers can reach anything', async ({
  open,
}) => {
  const { folder } = await built
  const { site, page } = await open(folder)
  await page.waitForSelector('#start:not([hidden])')
  const reach = `fetch('${site.url}/index.html').then(() => 'reached', () => 'refused')`
  assert.is(await page.evaluate(reach), 'refused')
  while (page.workers().length < 2) await page.waitForEvent('worker')
  for (const worker of page.workers()) assert.is(await worker.evaluate(reach), 'refused')
})

test('a file that is no saved training is refused in words', async ({ open }) => {
  const { folder, headers } = await built
  const { page, complaints } = await open(folder, {}, headers)
  await page.waitForSelector('#start:not([hidden])')
  for (const [name, body, why] of [
    ['odd.safetensors', '', 'it is no training'],
    ['notes.csv', 'name,class,number', 'it is no training'],
    ['notes.md', '# Notes on the training', 'it is no training'],
    ['odd.safetensors', '\x02\0\0\0\0\0\0\0{}', 'it holds no pictures of this page'],
  ] as const) {
    await page.setInputFiles('#open-input', {
      name,
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(body, 'latin1'),
    })
    await page.waitForSelector('.notice.is-error')
    const words =
      `${name} cannot be opened: ${why}. Open a training that this page has saved, or a zip of ` +
      'kindred export --with-images.'
    assert.ok((await noticesOf(page)).startsWith(words), await noticesOf(page))
    await page.waitForSelector('#start:not([hidden])')
  }
  assert.equal(complaints, [])
})

test('a saved training whose weights are of another network is refused in words', async ({
  open,
}) => {
  const { folder, headers } = await built
  const { page, complaints } = await open(folder, {}, headers)
  await page.waitForSelector('#start:not([hidden])')
  await page.setInputFiles('#open-input', {
    name: 'other.safetensors',
    mimeType: 'application/octet-stream',
    buffer: Buffer.from(encodeRun(photoSet(16), savedPhotos(16))),
  })
  await page.waitForSelector('.notice.is-error')
  assert.match(
    await noticesOf(page),
    /^other.safetensors cannot be opened: .*weight.*Open a training/,
  )
  await page.waitForSelector('#start:not([hidden])')
  assert.equal(complaints, [])
})

/** Reads the file of the kept training, after writing it if a text is given. */
const keptFile = (page: Page, text: string | null = null): Promise<string> =>
  page.evaluate(`(async (given) => {
    const root = await navigator.storage.getDirectory()
    const place = await root.getDirectoryHandle('kindred-photos', { create: true })
    const handle = await place.getFileHandle('training.safetensors', { create: true })
    if (given !== null) {
      const writer = await handle.createWritable()
      await writer.write(given)
      await writer.close()
    }
    return (await handle.getFile()).text()
  })(${JSON.stringify(text)})`)

test('a kept training that cannot be read is told, and replaced only with consent', async ({
  open,
}) => {
  const { folder, headers } = await built
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.waitForSelector('#start:not([hidden])')
  await keptFile(page, 'damaged')
  await page.goto(`${site.url}/?pictures=12&test=2&source=8`)
  await page.waitForSelector('#kept:not([hidden])')
  assert.match(
    (await page.textContent('#kept')) ?? '',
    /^Your last training cannot be read its file: .*got 7/,
  )
  assert.is(await page.locator('#open-kept').count(), 0)
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready/)
  await page.click('#train')
  assert.match(
    (await page.locator('#ask[open]').textContent()) ?? '',
    /keeps a training that cannot be read: its file: .*will replace it/,
  )
  await page.click('#ask button:not(.primary)')
  await untilStatus(page, /^Ready/)
  assert.is(await keptFile(page), 'damaged')
  assert.equal(complaints, [])
})

test('a training that does not fit leaves the kept one, and one that fits replaces it', async ({
  open,
}) => {
  const { page, complaints } = await open('dist', {
    '/index.html': '<!doctype html><link rel="icon" href="data:,">',
    '/kept.js': await bundled(`
      export * from './examples/photos/trainer/kept-storage.ts'
      export * from './examples/photos/trainer/opened.ts'
      export { configFor } from './examples/photos/trainer/settings.ts'`),
  })
  const found = await page.evaluate(`(async () => {
    const { KeptStorage, configFor, readKeptRun } = await import('/kept.js')
    const side = 2
    const choice = { method: 'simclr', network: 'small', side: 32, steps: 2, seed: 0 }
    const save = async (names) => {
      const test = { pixels: new Uint8Array(), labels: null }
      const pixels = new Uint8Array(names.length * side * side * 3)
      const set = { kind: 'own', side, names, pixels, classes: [], labels: null, test }
      const storage = new KeptStorage(configFor(choice, names.length), choice, set)
      let told = null
      storage.tell = (event) => { told = event }
      await storage.saveCheckpoint(0, new Map(), {})
      return told
    }
    const kept = async () => (await readKeptRun())?.pictures.names.length ?? null
    const files = async () => {
      const root = await navigator.storage.getDirectory()
      const place = await root.getDirectoryHandle('kindred-photos')
      return (await Array.fromAsync(place.keys())).length
    }
    const many = (size) => Array.from({ length: size }, (_, i) => 'picture ' + i)
    const results = []
    const note = async (told) => results.push([told.kind, told.reason ?? '', await kept(), await files()])
    await note(await save(many(9)))
    const { write } = FileSystemWritableFileStream.prototype
    for (const fitting of [0, 1]) {
      let writes = 0
      FileSystemWritableFileStream.prototype.write = function (bytes) {
        if (writes++ >= fitting) throw new DOMException('no room', 'QuotaExceededError')
        return write.call(this, bytes)
      }
      await note(await save(many(10)))
    }
    FileSystemWritableFileStream.prototype.write = write
    await note(await save(many(11)))
    return results
  })()`)
  assert.equal(found, [
    ['saved', '', 9, 2],
    ['unsaved', 'no room', 9, 2], // the pictures do not fit
    ['unsaved', 'no room', 9, 2], // the training does not
    ['saved', '', 11, 2],
  ])
  assert.equal(complaints, [])
})

test.run()
