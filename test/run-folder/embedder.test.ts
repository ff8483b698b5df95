import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { DataError } from '../../data/dataset.ts'
import { openImages } from '../../data/image-folder.ts'
import { save } from '../../engine/node-files.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { openGpu } from '../../engine/node.ts'
import { embed } from '../../evaluate/embed.ts'
import { unitFeatures } from '../../evaluate/unit-features.ts'
import { describe } from '../../kernels/options.ts'
import { testSide, testTransform } from '../../kernels/augment/recipes.ts'
import { recipeOf } from '../../methods/views.ts'
import { resnet8 } from '../../models/resnet.ts'
import { saveModel } from '../../models/state.ts'
import { embedder } from '../../run-folder/embedder.ts'
import type { ImageFileSource } from '../../run-folder/image-source.ts'
import { openEncoder } from '../../run-folder/saved-encoder.ts'
import { batchesInOrder } from '../../training/knn.ts'
import { picture, pictureSuite } from '../fixtures/images.ts'
import { type Misuse, call, refusesAll } from '../fixtures/misuse.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { untrainedRun } from '../fixtures/untrained-run.ts'

const test = pictureSuite('embedder of a run')

let gpu: Gpu
test.before(async () => {
  gpu = await openGpu()
})
test.after(() => gpu.destroy())

/** Writes pictures with edges, upright, wide and tall. */
async function pictures(folder: string) {
  const sizes = [
    [20, 12],
    [64, 90],
    [49, 49],
  ] as const
  const paths = sizes.map((_, i) => join(folder, `${i}.png`))
  for (const [i, [width, height]] of sizes.entries()) {
    const raw = Uint8Array.from(
      { length: width * height * 3 },
      (__, at) => ((at * (7 + i)) % 256) ^ ((at / width) % 200),
    )
    await sharp(raw, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(paths[i] ?? '')
  }
  return paths
}

for (const size of [16, 40])
  test(`files of views of ${size} pixels get the rows of evaluation, from a run or its checkpoint`, async ({
    folder,
    cache,
  }) => {
    const paths = await pictures(folder)
    const run = join(dirname(folder), 'run')
    const { config, encoder, path } = await untrainedRun(gpu, run, { size })
    const side = testSide(size)
    const set = await openImages(folder, { size: side, cache, workers: 1 })
    const encode = unitFeatures(encoder, testTransform(recipeOf(config.views, 0)))
    const wanted = await embed(gpu, encode, batchesInOrder(set), [side, side, 3])
    await set.close()
    const alone = join(dirname(folder), 'alone.safetensors')
    await copyFile(path, alone)
    for (const from of [run, alone]) {
      await using service = await embedder(from, { maxBatch: 2, warm: false })
      assert.is(service.side, side)
      const rows: number[] = []
      for await (const { features, image, index } of service.embedAll(paths)) {
        assert.is(image, paths[index])
        rows.push(...(features ?? []))
      }
      assert.is(rows.length, wanted.features.length)
      for (const [i, value] of wanted.features.entries())
        assert.ok(Math.abs(value - (rows[i] ?? NaN)) < 1e-6)
      const [first = ''] = paths
      const bytes = await sharp(first).toFormat('png').toBuffer()
      const read = () => Promise.resolve(new Uint8Array(bytes))
      const again = [pathToFileURL(first), read(), read].map(async (one) =>
        service.embed(await one),
      )
      for (const row of await Promise.all(again))
        for (const [d, value] of row.entries())
          assert.ok(Math.abs(value - (wanted.features[d] ?? NaN)) < 1e-6)
    }
  })

test('an encoder that was brought serves like that of a run', async ({ folder }) => {
  const path = join(folder, 'a.png')
  await picture(path)
  const saved = {
    name: 'mine',
    build: (on: Gpu) => resnet8(on, { width: 2, seed: 5 }),
    transform: { size: 8 },
    side: 8,
  }
  await using service = await embedder(saved, { maxBatch: 1 })
  const row = await service.embed(path)
  assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-6)
  const encode = unitFeatures(saved.build(gpu), saved.transform)
  const { data } = await sharp(path)
    .resize(8, 8, { fit: 'cover' })
    .raw()
    .toBuffer({ resolveWithObject: true })
  const wanted = await gpu.read(encode(gpu.tensor(new Uint8Array(data), [1, 8, 8, 3])))
  for (const [d, value] of wanted.entries()) assert.ok(Math.abs(value - (row[d] ?? NaN)) < 1e-6)
})

/** A PNG file that says it has this size, and has one row of pixels. */
function pngOf(width: number, height: number): Uint8Array {
  const chunk = (name: string, data: Uint8Array) => {
    const named = Buffer.concat([Buffer.from(name), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(named))
    return Buffer.concat([length, named, sum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const row = deflateSync(Buffer.alloc(1 + 3 * width))
  return new Uint8Array(
    Buffer.concat([
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      ...[chunk('IHDR', header), chunk('IDAT', row)],
    ]),
  )
}

test('what is no image is refused in words, and the rest of a stream goes on', async ({
  folder,
}) => {
  const run = join(dirname(folder), 'run')
  await untrainedRun(gpu, run, { size: 8 })
  await using service = await embedder(run, { maxBatch: 2, maxBytes: 4000, warm: false })
  const good = join(folder, 'good.png')
  await picture(good)
  const text = join(folder, 'text.jpg')
  await writeFile(text, 'a letter, not a picture')
  const long = join(folder, 'long.jpg')
  await writeFile(long, new Uint8Array(4001))
  const gone = join(folder, 'gone.jpg')
  const formats = 'not an image of a format that is read (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF)'
  const bad: readonly (readonly [ImageFileSource, string])[] = [
    [text, `embedder: ${text} is of an unknown format, ${formats}`],
    [long, `embedder: ${long} has 4001 bytes, at most 4000 are read; raise maxBytes, or shrink it`],
    [gone, `embedder: ${gone} does not exist`],
    [folder, `embedder: ${folder} must be a file, got a folder`],
    [new Uint8Array(0), 'embedder: the image is empty'],
    [new TextEncoder().encode('<html>'), `embedder: the image holds HTML, ${formats}`],
    [
      pngOf(20_000, 10_000),
      'embedder: the image is too large: 20000 x 10000 pixels, at most 100000000 are read',
    ],
    [pngOf(10, 10), 'embedder: the image is cut short: its PNG data end early'],
    [
      new ArrayBuffer(4001),
      'embedder: the image has 4001 bytes, at most 4000 are read; raise maxBytes, or shrink it',
    ],
  ]
  for (const [image, message] of bad) {
    const error = await service.embed(image).catch((e: unknown) => e)
    assert.instance(error, DataError)
    assert.is((error as Error).message, message)
  }
  const reasons: (string | null)[] = []
  const all = [...bad.map(([image]) => image), good]
  for await (const { reason } of service.embedAll(all)) reasons.push(reason)
  assert.equal(reasons, [...bad.map(([, message]) => message), null])
  const stop = new AbortController()
  const seen = async () => {
    for await (const { index } of service.embedAll(Array(50).fill(good), { signal: stop.signal }))
      if (index === 3) stop.abort(new Error('enough'))
  }
  await refusesAsync(seen, 'enough')
  for await (const { index } of service.embedAll(Array(50).fill(good))) if (index === 3) break
  assert.is((await service.embed(good)).length, 8) // the queue is empty again
})

test('opening and asking say what is wrong', async ({ folder }) => {
  const run = join(dirname(folder), 'run')
  const { path, tensors } = await untrainedRun(gpu, run, { size: 8 })
  const foreign = join(folder, 'foreign.safetensors')
  await save(foreign, await saveModel(gpu, resnet8(gpu, { width: 2 })))
  const empty = join(folder, 'empty')
  await mkdir(empty)
  const old = join(dirname(path), 'old.safetensors') // of a version that saved no settings
  await save(old, tensors)
  assert.is((await openEncoder(old)).config.model.name, 'resnet8')
  const service = await embedder(run, { maxBatch: 2, warm: false })
  const own = { name: 'mine', build: (on: Gpu) => resnet8(on, { width: 2 }), side: 8 }
  const jitter = { p: 1, brightness: 0.4 }
  await refusesAll([
    ...Object.entries({ flip: 0.5, crop: {}, jitter, grayscale: 0.2, blur: {} }).map(
      ([field, given]): Misuse => [
        `a transform that draws, ${field}`,
        () => embedder({ ...own, transform: { size: 8, [field]: given } }),
        `embedder: transform must have nothing random, got ${field} ${describe(given)}; give testTransform(recipe)`,
      ],
    ),
    ...Object.entries({ name: 5, side: 0 }).map(([field, given]): Misuse => [
      `a wrong ${field}`,
      () => call(embedder, { ...own, transform: { size: 8 }, [field]: given }),
      `embedder: ${field} must be ${field === 'name' ? 'a string' : 'a whole number from 1 on'}, got ${given}`,
    ]),
    [
      'no model',
      () => call(embedder, { ...own, transform: { size: 8, flip: 1 }, build: () => undefined }),
      'embedder: what build returns must be a model, with a function forward, got undefined',
    ],
  ])
  await refusesAll([
    [
      'nothing there',
      () => embedder(join(folder, 'none')),
      `${join(folder, 'none')} does not exist; give a run folder or a checkpoint of a run`,
    ],
    [
      'a folder without a run',
      () => embedder(empty),
      `${empty} is not a run folder: it has no config.json; give the --out folder of a training`,
    ],
    [
      'a checkpoint without settings',
      () => embedder(foreign),
      `${foreign}: it holds no settings of a run, so that its network and its images are unknown; ` +
        'give a checkpoint of a run, or an encoder as { name, build, transform, side }',
    ],
    [
      'no path',
      () => call(embedder, 5),
      'embedder: checkpoint must be the path of a run folder or checkpoint, or an encoder ' +
        '{ name, build, transform, side }, got 5',
    ],
    [
      'an option misspelt',
      () => call(embedder, run, { maxbatch: 5 }),
      "embedder: there is no option 'maxbatch'; did you mean 'maxBatch'? Its options are maxBatch, " +
        'maxWait, queue, whenFull, retries, checkpoint, layer, adapter, precision, maxBytes, ' +
        'maxPixels, warm',
    ],
    [
      'a queue shorter than a batch',
      () => call(embedder, run, { maxBatch: 8, queue: 4 }),
      'openEmbedder: queue must hold at least one batch of 8, got 4; raise it, or lower maxBatch',
    ],
    [
      'an adapter that is not there',
      () => embedder(run, { adapter: 'abacus' }),
      "no WebGPU adapter's name contains 'abacus'; leave the name out to see what there is",
    ],
    [
      'a number for an image',
      () => call(service.embed.bind(service), 5),
      'embedder: the image must be a path, a file: URL, or the bytes of an image file or a function that returns them, got 5',
    ],
    [
      'another kind of URL',
      () => service.embed(new URL('http://127.0.0.1/a.jpg')),
      'embedder: the image must be a path, a file: URL, or the bytes of an image file or a function that returns them, got a URL',
    ],
    [
      'a function of nothing',
      () => call(service.embed.bind(service), () => {}),
      "embedder: the image's function must return the bytes of an image file, got undefined",
    ],
    [
      'pixels',
      () => call(service.embed.bind(service), { pixels: [], shape: [1, 1, 1, 3] }),
      'embedder: the image must be a file; give pixels to embedPixels(pixels, [N, H, W, 3])',
    ],
    [
      'no signal',
      () => call(service.embed.bind(service), run, { signal: 5 }),
      'embedder: signal must be an AbortSignal, got 5',
    ],
  ])
  await service.close()
  await refusesAsync(
    () => service.embed(run),
    'embedder: it was closed, and takes no more requests',
  )
})

test.run()
