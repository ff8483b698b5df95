// A run as one file: what goes in comes out, and what is no run is refused in words.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Zippable, unzipSync, zipSync } from 'fflate'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../../data/dataset.ts'
import { procedural } from '../../data/procedural.ts'
import { select } from '../../data/select.ts'
import { resumeRun } from '../../run-folder/open.ts'
import { decodeSafetensors, encodeSafetensors } from '../../engine/safetensors.ts'
import { encodeCheckpoint } from '../../training/checkpoint-bytes.ts'
import { digestsOf, imagesDigest } from '../../training/fingerprint.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import { packRun } from '../../training/pack.ts'
import { decodeImages, encodeImages } from '../../training/run-images.ts'
import { sha256 } from '../../training/sha256.ts'
import { train } from '../../training/train.ts'
import { unpackRun } from '../../training/unpack.ts'
import { keptRun, runConfig, tensorsOf } from '../fixtures/kept-run.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { bitsOf } from '../fixtures/stored-bits.ts'

const test = suite('packed runs')

const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer())
const filesOf = async (blob: Blob) => unzipSync(await bytesOf(blob))

/** Changes the size that the zip's list claims for its files, or for those of one size. */
function claiming(zip: Uint8Array, size: number | null, claimed: number): Uint8Array {
  const view = new DataView(zip.buffer)
  for (let at = 0; at + 28 < zip.length; at++)
    if (view.getUint32(at, true) === 0x02014b50)
      if (size === null || view.getUint32(at + 24, true) === size)
        view.setUint32(at + 24, claimed, true)
  return zip
}

test('a run comes out of its file as it went in', async () => {
  const run = await keptRun([3, 6, 9], 6)
  const file = await packRun(run)
  assert.is(file.type, 'application/zip')
  assert.equal(Object.keys(await filesOf(file)), [
    ...['config.json', 'metrics.jsonl', 'checkpoints/best.safetensors'],
    'checkpoints/step-00000009.safetensors',
  ])
  for (const given of [file, await file.arrayBuffer(), await bytesOf(file)]) {
    const other = await unpackRun(given)
    assert.equal(other.config, run.config)
    assert.equal(await other.metrics(), await run.metrics())
    assert.equal(await bitsOf(other), await bitsOf(run))
    assert.equal(other.newest?.metadata, run.newest?.metadata)
    assert.equal([other.best?.step, other.best?.tensors], [6, tensorsOf(6)])
  }
})

test('a checkpoint that is the best and the newest is in the file once', async () => {
  const file = await packRun(await keptRun([3, 6], 6))
  assert.equal(Object.keys(await filesOf(file)).slice(2), ['checkpoints/best.safetensors'])
  const other = await unpackRun(file)
  assert.equal([other.newest?.step, other.best?.step], [6, 6])
})

test('an unzipped file is a run folder, and a zipped run folder a packed run', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-pack-'))
  const run = await keptRun([3, 6], 6)
  writeFileSync(join(dir, 'run.zip'), await bytesOf(await packRun(run)))
  const python = 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])'
  const { status, stderr } = spawnSync('python3', [
    ...['-c', python, join(dir, 'run.zip'), join(dir, 'run')],
  ])
  assert.is(status, 0, String(stderr))
  const folder = await resumeRun(join(dir, 'run'))
  assert.equal(await folder.metrics(), await run.metrics())
  assert.equal(await bitsOf(folder), await bitsOf(run))
  const back = await unpackRun(await packRun(folder))
  assert.equal(await bitsOf(back), await bitsOf(run))
  await folder.close()
  rmSync(dir, { recursive: true })

  const files = await filesOf(await packRun(run))
  const within = Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [`photos/${name}`, bytes]),
  )
  assert.equal(await bitsOf(await unpackRun(zipSync(within))), await bitsOf(run))
})

test('a damaged newest checkpoint is left out, with a word', async () => {
  const files: Zippable = await filesOf(await packRun(await keptRun([3, 6, 9], 6)))
  const newest = files['checkpoints/step-00000009.safetensors'] as Uint8Array
  newest[newest.length - 1] = 0x7f
  const notes: string[] = []
  const run = await unpackRun(zipSync(files), { name: 'photos.zip', onNote: (l) => notes.push(l) })
  assert.is(run.newest?.step, 6)
  assert.equal(notes, [
    'photos.zip: step-00000009.safetensors: its contents are not what was saved; the file is damaged',
  ])
  const metrics = await run.metrics()
  assert.is(metrics.at(-1)?.step, 9) // those after the checkpoint are dropped when it goes on
  assert.is((await unpackRun(await packRun(run))).newest?.step, 6)
})

/** Images of which a checkpoint with this metadata is. */
const drawn = procedural({ train: 12, test: 6, size: 8 })
async function runOn(images: Dataset) {
  const run = await keptRun([3])
  const metadata = { 'images.sha256': await imagesDigest(images, sha256) }
  const { tensors, metadata: own } = run.newest ?? { tensors: tensorsOf(6), metadata: {} }
  await run.saveCheckpoint(6, tensors, { ...own, ...metadata })
  return run
}

test('images come out of the file of a run as they went in', async () => {
  const run = await runOn(drawn.train)
  const file = await packRun(run, { images: drawn })
  assert.is(Object.keys(await filesOf(file)).at(-1), 'images.safetensors')
  const back = await unpackRun(file, { name: 'r.zip' })
  assert.equal(
    [back.config['data'], back.config['dataFromRun']],
    ['images:images.safetensors', 'images.safetensors'],
  )
  assert.is(run.config['data'], 'procedural:48,20') // of the file alone
  const images = await back.images()
  assert.ok(images)
  assert.equal(
    await digestsOf(images, runConfig, sha256),
    await digestsOf(drawn, runConfig, sha256),
  )
  assert.equal(images.about?.notes, [
    'from the file r.zip: images.safetensors, first read from procedural:48,20',
  ])
  const again = await unpackRun(await packRun(back)) // what it keeps goes along
  assert.is((await again.images())?.about?.from, 'procedural:48,20')
  const without = await unpackRun(await packRun(back, { images: null }))
  assert.is(await without.images(), null)
  assert.equal(
    [without.config['data'], without.config['dataFromRun']],
    ['procedural:48,20', undefined],
  )
  assert.is(await (await unpackRun(await packRun(run))).images(), null)
})

test('halves that are no data sets are refused in words, wherever images are taken', async () => {
  const run = await runOn(drawn.train)
  const takers = {
    packRun: (images: never) => packRun(run, { images }),
    encodeImages: (images: never) => encodeImages(images),
    keepImages: async (images: never) => run.keepImages(images),
    train: (images: never) => train(() => Promise.reject(new Error('no GPU')), images, run),
  }
  const name = (taker: string) => (taker === 'train' ? 'data' : 'images')
  for (const [taker, take] of Object.entries(takers))
    for (const [images, half, got] of [
      [{ train: 1, test: 2 }, 'train', '1'],
      [{ train: {}, test: {} }, 'train', 'an empty object'],
      [{ train: drawn.train, test: null }, 'test', 'null'],
    ] as const)
      await refusesAsync(
        () => take(images as never),
        `${taker}: ${name(taker)}.${half} must be a data set such as (await openData(...)).train, got ${got}`,
      )
  assert.is(await run.images(), null)
})

test('images that no file of them could hold are refused before one is written', async () => {
  const run = await runOn(drawn.train)
  const { train: whole, test: other } = drawn
  for (const [images, words] of [
    [
      { train: { ...whole, labels: null }, test: other },
      'train.labels is missing, and the file names 10 classes',
    ],
    [
      { train: { ...whole, labels: Int32Array.of(0, 1, 2) }, test: other },
      'train: there must be one label per image, got 3 labels and 12 images',
    ],
    [
      { train: whole, test: procedural({ train: 2, test: 2, size: 9 }).test },
      'test.pixels must have the sides of train.pixels, 8 x 8, got 9 x 9',
    ],
  ] as const) {
    await refusesAsync(() => encodeImages(images), `encodeImages: ${words}`)
    await refusesAsync(() => packRun(run, { images }), `encodeImages: ${words}`)
  }
  await refusesAsync(
    () => encodeImages({ train: select(whole, []), test: other }),
    'encodeImages: it has no image to train on',
  )
})

test('a file of images has at most 1 GiB, and in a packed run a digest', async () => {
  await refusesAsync(
    () => decodeImages(3 as never),
    'decodeImages: file must be the bytes of a file, a Uint8Array or an ArrayBuffer, got 3',
  )
  await refusesAsync(
    () => decodeImages(new Uint8Array(2 ** 30 + 2 ** 28 + 1), 'x'),
    'x: it takes 1342177281 bytes, and a file of images at most 1342177280; train on a subset, or give the files of the images themselves',
  )
  const files = await filesOf(await packRun(await runOn(drawn.train), { images: drawn }))
  const { 'images.safetensors': images = new Uint8Array(0) } = files
  const { tensors, metadata } = decodeSafetensors(images)
  const { 'kindred.sha256': digest, ...others } = metadata
  assert.ok(digest)
  const pixels = tensors.get('train.pixels')?.data
  assert.ok(pixels instanceof Uint8Array)
  pixels.fill(7)
  const bare = encodeSafetensors({ tensors, metadata: others })
  assert.is((await decodeImages(bare)).train.size, 12) // of another program
  await refusesAsync(
    () => unpackRun(zipSync({ ...files, 'images.safetensors': bare }), { name: 'r.zip' }),
    'r.zip: images.safetensors: its metadata lack kindred.sha256, the digest of its contents, so it may be damaged; pack the run again',
  )
  const named = { ...files, 'images.safetensors': new Uint8Array(2 ** 22) }
  const zip = claiming(zipSync(named), 2 ** 22, 0xe0000000)
  await refusesAsync(
    () => unpackRun(zip, { name: 'r.zip' }),
    'r.zip: images.safetensors: it takes 3758096384 bytes, and a file of images at most 1342177280; train on a subset, or give the files of the images themselves',
  )
  // more than it can inflate to, and less than the limit: damaged, not left out
  await refusesAsync(
    () => unpackRun(claiming(zipSync(named), 2 ** 22, 2 ** 29), { name: 'r.zip' }),
    'r.zip: images.safetensors is cut short or damaged',
  )
})

test('images of another run, and damaged ones, are refused in words', async () => {
  const run = await runOn(drawn.train)
  await refusesAsync(
    () => packRun(run, { images: { train: drawn.test, test: drawn.test } }),
    'the training: it was trained on other images than the 6 given; give those, or leave the images out',
  )
  await refusesAsync(
    () => packRun(run, { images: drawn.train as never }),
    'packRun: images must be both halves of a data set, or null, got an object with name, size, image, classes, labels, skipped, ...',
  )
  const files = await filesOf(await packRun(run, { images: drawn }))
  const of = (images: Uint8Array) => () =>
    unpackRun(zipSync({ ...files, 'images.safetensors': images }), { name: 'r.zip' })
  const { 'images.safetensors': images = new Uint8Array(0) } = files
  await refusesAsync(
    of(images.slice(0, 4)),
    'r.zip: images.safetensors: a safetensors file has at least 8 bytes, got 4',
  )
  const flipped = images.slice()
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
  await refusesAsync(
    of(flipped),
    'r.zip: images.safetensors: its contents are not what was saved; the file is damaged',
  )
  const { 'checkpoints/step-00000006.safetensors': other = flipped } = files
  await refusesAsync(
    of(other),
    'r.zip: images.safetensors: train.pixels is missing; it must be u8 [N, H, W, 3]',
  )
})

const unread = async () => {
  const whole = await filesOf(await packRun(await keptRun([3, 6])))
  const text = new TextEncoder()
  const config = (change: object) => text.encode(JSON.stringify({ ...runConfig, ...change }))
  const { 'config.json': _, ...withoutConfig } = whole
  const { 'checkpoints/step-00000006.safetensors': newest = text.encode(''), ...bare } = whole
  const foreign = await encodeCheckpoint({
    ...{ step: 6, tensors: tensorsOf(1), metadata: { config: 'null' } },
  })
  const nan = await encodeCheckpoint({ step: 6, tensors: tensorsOf(NaN), metadata: {} })
  const zip = zipSync(whole)
  const of = (more: Zippable) => zipSync({ ...whole, ...more })
  const name = 'checkpoints/step-00000006.safetensors'
  return [
    [new Uint8Array(0), 'r.zip: it is empty, 0 bytes; pack the run again'],
    [
      newest,
      'r.zip: it is not a packed run: it is no zip; give what packRun or kindred export --to RUN.zip has written',
    ],
    [zip.slice(0, -30), 'r.zip: it is cut short or damaged; pack the run again'],
    [
      zipSync(withoutConfig),
      'r.zip: it is not a packed run: it has no config.json; give what packRun or kindred export --to RUN.zip has written',
    ],
    [
      of({ 'config.json': text.encode('{') }),
      'r.zip: config.json is damaged: it is not a JSON object (line 1)',
    ],
    [
      of({ 'config.json': config({ epochs: 0 }) }),
      'r.zip: config.json: 1 field is wrong; it was made by another version, or by hand\n  epochs: must be a whole number from 1 on, got 0',
    ],
    [
      of({ 'config.json': config({ batch: 32 }) }),
      'r.zip: config.json has other settings than the checkpoint of step 6: batch 16 -> 32; a run that has begun keeps them, but for data, schedule.lr and epochs; put back batch 16, or start a new run',
    ],
    [
      of({ 'metrics.jsonl': text.encode('{"step":-1}\n') }),
      'r.zip: metrics.jsonl: line 1: step must be a whole number from 0 on, got -1; mend the line, or delete it to go on without it',
    ],
    [zipSync(bare), 'r.zip: it holds no checkpoint that can be read; pack the run again'],
    ...[new Uint8Array(0), newest.slice(0, 40), foreign, nan].map(
      (bytes) =>
        [
          of({ [name]: bytes }),
          'r.zip: it holds no checkpoint that can be read; pack the run again',
        ] as const,
    ),
  ] as const
}

test('what is no packed run is refused in words', async () => {
  for (const [file, message] of await unread())
    await refusesAsync(() => unpackRun(file, { name: 'r.zip' }), message)
  await refusesAsync(
    () => unpackRun('r.zip' as never),
    "unpackRun: file must be a file: a Blob, an ArrayBuffer or a Uint8Array, got 'r.zip'",
  )
  const named = new File([new Uint8Array(0)], 'holiday.zip')
  await refusesAsync(
    () => unpackRun(named),
    'holiday.zip: it is empty, 0 bytes; pack the run again',
  )
  await refusesAsync(
    () => packRun(new MemoryStorage(runConfig, 'the run')),
    'the run has no checkpoint yet; let the training reach its first',
  )
})

test('a file that claims to inflate without end is refused before it does', async () => {
  const zip = claiming(zipSync(await filesOf(await packRun(await keptRun([3])))), null, 0xf0000000)
  await refusesAsync(
    () => unpackRun(zip, { name: 'r.zip' }),
    'r.zip: config.json is cut short or damaged',
  )
})

test('memory that was transferred, and a zip of two runs, are refused in words', async () => {
  const transferred = new ArrayBuffer(8)
  const view = new Uint8Array(transferred)
  structuredClone(transferred, { transfer: [transferred] })
  for (const given of [transferred, view])
    await refusesAsync(
      () => unpackRun(given),
      'unpackRun: file is memory that was transferred, to a worker or elsewhere, and holds nothing any more; give a copy, or read the file again',
    )
  const files = await filesOf(await packRun(await keptRun([3])))
  const under = (folder: string) =>
    Object.fromEntries(Object.entries(files).map(([path, bytes]) => [folder + path, bytes]))
  await refusesAsync(
    () => unpackRun(zipSync({ ...under('a/'), ...under('bc/') }), { name: 'r.zip' }),
    'r.zip: it holds 2 runs: a/, bc/; pack each on its own',
  )
  // an exported encoder within a run has a config.json, too
  const within = { ...under('a/'), 'config.json': new Uint8Array(2) }
  assert.is((await unpackRun(zipSync(within))).newest?.step, 3)
})

test('a flipped bit is found by the checksum of the zip', async () => {
  const files = await filesOf(await packRun(await keptRun([3, 6])))
  const zip = zipSync(files, { level: 0 })
  const text = new TextDecoder('latin1').decode(zip)
  zip.set([0x31], text.indexOf('"loss":0') + 7) // 0 becomes 1
  await refusesAsync(
    () => unpackRun(zip, { name: 'r.zip' }),
    'r.zip: metrics.jsonl is cut short or damaged',
  )
  const within = new Uint8Array(zip.length + 7) // a view of other memory
  within.set(zipSync(files), 7)
  assert.is((await unpackRun(within.subarray(7))).newest?.step, 6)
})

test('a renamed checkpoint hides no newer one', async () => {
  const files = await filesOf(await packRun(await keptRun([3, 6], 3)))
  const best = files['checkpoints/best.safetensors'] as Uint8Array
  const notes: string[] = []
  const run = await unpackRun(
    zipSync({ ...files, 'checkpoints/step-99999999.safetensors': best }),
    { name: 'r.zip', onNote: (line) => notes.push(line) },
  )
  assert.is(run.newest?.step, 6)
  assert.equal(notes, [
    'r.zip: step-99999999.safetensors: it holds step 3, and its name says 99999999; the file was renamed',
  ])
})

test.run()
