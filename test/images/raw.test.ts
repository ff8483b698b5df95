// Pictures given as bytes: the images, the list of those left out, and the data set made of them.

import * as assert from 'uvu/assert'
import { DataError } from '../../data/dataset.ts'
import { batches } from '../../data/loader.ts'
import { imageDataset } from '../../images/image-dataset.ts'
import { Resizer } from '../../images/resizer.ts'
import { readImages } from '../../images/read-images.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { resizeImages } from '../../kernels/resample/resize-images.ts'
import { residentImages } from '../../methods/image-batch.ts'
import { threefry2x32 } from '../../kernels/wgsl/threefry.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { type Misuse, call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('pictures as bytes')

/** A picture of noise. */
function noise(width: number, height: number, channels = 4, seed = 1) {
  const value = (_: unknown, i: number) => threefry2x32([seed, 9], [i, 0])[0] & 255
  return {
    data: Uint8ClampedArray.from({ length: width * height * channels }, value),
    width,
    height,
  }
}

test('each image is as resizeImages makes it, wherever it lies in the set', async ({ gpu }) => {
  const sizes = [
    [9, 7],
    [5, 20],
    [3, 3],
    [31, 12],
    [1, 1],
    [40, 2],
  ] as const
  for (const fit of ['cover', 'contain', 'fill'] as const)
    for (const channels of [3, 4]) {
      const pictures = sizes.map(([w, h], i) => noise(w, h, channels, i))
      const size = 5 // 75 bytes an image, so that words hold parts of two
      const { images, kept, skipped } = await readImages(gpu, pictures, { size, fit })
      assert.equal([images.dtype, ...images.shape], ['u8', 6, 5, 5, 3])
      assert.equal([kept, skipped], [[0, 1, 2, 3, 4, 5], []])
      const got = await gpu.read(images)
      for (const [i, { data, width, height }] of pictures.entries()) {
        const alone = resizeImages(gpu.tensor(data, [1, height, width, channels]), { size, fit })
        assert.equal([...got.subarray(i * 75, i * 75 + 75)], [...(await gpu.read(alone))])
      }
      gpu.free(images)
    }
})

test('pictures wait behind a step, which goes on in pieces', async ({ gpu: { device } }) => {
  const pictures = [noise(9, 7), noise(40, 2, 3, 2), noise(31, 12, 4, 3)]
  const found: (readonly number[])[] = []
  for (const budget of [null, 1e-6]) {
    const gpu = new Gpu(device, { budget })
    const set = gpu.variable(new Uint8Array(3 * 75), [3, 5, 5, 3])
    const resizer = new Resizer(gpu, 5, 'cover')
    const pair = gpu.tensor([1, 2])
    await gpu.read(add(pair, pair)) // compiles the kernel, for which the step would wait
    const before = gpu.stats().dispatches
    const y = gpu.step(() => {
      let x = gpu.tensor([1, 2])
      for (let i = 0; i < 48; i++) x = add(x, x)
      return x
    })
    for (const [at, { data, width, height }] of pictures.entries()) {
      const channels = data.length === width * height * 3 ? 3 : 4
      const bytes = Uint8Array.from(data)
      resizer.resize('noise', { bytes, channels, width, height }, set, at)
      bytes.fill(0) // they are those at the time of the call
    }
    resizer.free()
    if (budget !== null)
      assert.is(gpu.stats().dispatches - before, 2, 'two pieces are on their way')
    found.push([...(await gpu.read(y)), ...(await gpu.read(set))])
    gpu.destroy()
  }
  assert.equal(found[1], found[0])
})

test('a picture of several strips is one', async ({ gpu }) => {
  const [width, height] = [2000, 4500] // 36 MB: three strips
  const data = new Uint8Array(width * height * 4)
  for (let i = 0; i < data.length; i += 4) {
    const [x, y] = [(i / 4) % width, Math.floor(i / 4 / width)]
    data.set([(255 * x) / width, (255 * y) / height, 255 * Number(y > 2250), 255], i)
  }
  const { images } = await readImages(gpu, [{ data, width, height }], { size: 9, fit: 'fill' })
  const got = await gpu.read(images)
  for (let y = 0; y < 9; y++)
    for (let x = 0; x < 9; x++) {
      const [r = NaN, g = NaN, b = NaN] = got.subarray((y * 9 + x) * 3)
      const [across, down] = [(255 * (x + 0.5)) / 9, (255 * (y + 0.5)) / 9]
      if (x > 0 && x < 8) assert.ok(Math.abs(r - across) < 3, `${x} ${y}: ${r} ${across}`)
      if (y > 0 && y < 8) assert.ok(Math.abs(g - down) < 3, `${x} ${y}: ${g} ${down}`)
      if (y !== 4) assert.ok(Math.abs(b - (y > 4 ? 255 : 0)) < 12, `${y}: ${b}`) // it rings
    }
  gpu.free(images)
})

test('pictures that cannot be read are left out, and listed', async ({ gpu }) => {
  const good = noise(4, 4)
  const detached = noise(4, 4)
  structuredClone(detached.data.buffer, { transfer: [detached.data.buffer] })
  const pictures = [
    good,
    { ...good, width: 0 },
    { ...good, data: good.data.subarray(0, 16) },
    detached,
    { ...good, data: new Float32Array(64) as unknown as Uint8Array },
    Object.assign(noise(4, 4), { name: 'last.png' }),
  ]
  const told: string[] = []
  const { images, kept, skipped } = await readImages(gpu, pictures, {
    size: 4,
    onProgress: (done, left) => told.push(`${done} ${left}`),
  })
  assert.equal(images.shape, [2, 4, 4, 3])
  assert.equal(kept, [0, 5])
  assert.equal(skipped, [
    {
      file: 'picture 1',
      reason:
        'width must be a whole number from 1 on, got 0; was it closed, or has it not loaded yet?',
    },
    {
      file: 'picture 2',
      reason: 'data must be RGBA or RGB, 64 or 48 bytes for 4 x 4 pixels, got 16',
    },
    {
      file: 'picture 3',
      reason: 'data has no bytes; was its buffer transferred to a worker?',
    },
    {
      file: 'picture 4',
      reason:
        'data must be bytes in a Uint8Array or a Uint8ClampedArray, got a Float32Array of 256 bytes',
    },
  ])
  assert.equal(told, ['1 0', '2 1', '3 2', '4 3', '5 4', '6 4'])
  gpu.free(images)
})

test('a data set of pictures trains as any other', async ({ gpu }) => {
  const made: number[] = []
  let open = 0
  function* pictures() {
    for (let i = 0; i < 70; i++) {
      made.push(open)
      yield i === 40 ? { ...noise(6, 6), height: 5 } : noise(6, 6, 4, i)
      open++
    }
  }
  const classOf = (_: unknown, i: number) => (i % 3 === 2 ? null : i % 3 === 1 ? 'cat' : 'ant')
  const set = await imageDataset(gpu, pictures(), { size: 6, name: 'zoo', classOf })
  assert.equal([set.name, set.size, set.classes], ['zoo', 69, ['ant', 'cat']])
  assert.equal([...(set.labels ?? [])].slice(0, 4), [0, 1, -1, 0])
  assert.equal(
    set.skipped.map(({ file }) => file),
    ['picture 40'],
  )
  assert.is(set.files?.[40], 'picture 41')
  const pixels = new Uint8Array(108 * 69)
  await set.read(
    Uint32Array.from({ length: 69 }, (_, i) => i),
    pixels,
  )
  for (const [i, at] of [
    [0, 0],
    [41, 40],
    [69, 68],
  ] as const) {
    const { data } = noise(6, 6, 4, i)
    const alone = resizeImages(gpu.tensor(data, [1, 6, 6, 4]), { size: 6 })
    assert.equal([...pixels.subarray(108 * at, 108 * at + 108)], [...(await gpu.read(alone))])
  }
  for await (const { shape } of batches(set, { batch: 32, seed: 1, epoch: 0 }))
    assert.equal(shape, [32, 6, 6, 3])
  const resident = await residentImages(gpu, set)
  assert.equal(resident.shape, [69, 6, 6, 3])
  gpu.free(resident)
})

test('nothing is left behind, and a signal ends it', async ({ gpu }) => {
  await readImages(gpu, [noise(50, 40)], { size: 8 }).then(({ images }) => gpu.free(images))
  await gpu.sync()
  const { bytes } = gpu.stats()
  for (let i = 0; i < 3; i++) {
    const { images } = await readImages(gpu, [noise(50, 40), noise(20, 90)], { size: 8 })
    gpu.free(images)
  }
  assert.ok(gpu.stats().bytes <= bytes + 4096, `${bytes} to ${gpu.stats().bytes}`)
  const stop = new AbortController()
  let taken = 0
  function* endless() {
    for (;;) {
      if (++taken === 9) stop.abort(new Error('enough'))
      yield noise(5, 5)
    }
  }
  await refusesAll([
    ['aborted', () => imageDataset(gpu, endless(), { size: 4, signal: stop.signal }), 'enough'],
  ])
  assert.ok(taken < 13, `${taken} were taken`)
})

test('a picture whose name cannot be read is told by its place', async ({ gpu }) => {
  const nameless = Object.defineProperty(noise(4, 4), 'name', {
    get: () => {
      throw new DataError('gone')
    },
  })
  const { skipped, kept } = await readImages(gpu, [nameless, noise(4, 4)], { size: 4 })
  assert.equal([skipped, kept], [[{ file: 'picture 0', reason: 'gone' }], [1]])
})

test('more images than the device binds are refused before memory is taken', async ({ gpu }) => {
  const most = gpu.device.limits.maxStorageBufferBindingSize
  const side = (pictures: number) => Math.floor(Math.sqrt(most / 3 / pictures))
  const good = noise(4, 4)
  const words = (owner: string, pictures: string, size: number, bytes: number) =>
    `${owner}: size must leave room for ${pictures} in the ${most} bytes that this device binds, got ${size}, which needs ${bytes}; give `
  const [one, two] = [side(1) + 1, side(2) + 1]
  await refusesAll([
    [
      'far too large',
      () => readImages(gpu, [good], { size: 1e5 }),
      `${words('readImages', 'the picture', 1e5, 3e10)}${side(1)} or less`,
    ],
    [
      'a pixel too large for two',
      () => readImages(gpu, [good, good], { size: two }),
      `${words('readImages', 'all 2 pictures', two, 6 * two ** 2)}${side(2)} or less, or at most 1 picture at a time, or imageDataset, which keeps them in memory`,
    ],
    [
      'a pixel too large for a set',
      () => imageDataset(gpu, [good], { size: one }),
      `${words('imageDataset', 'the picture', one, 3 * one ** 2)}${side(1)} or less`,
    ],
  ])
})

test('what is no picture is refused in words', async ({ gpu }) => {
  const read = (...given: readonly unknown[]) => call(readImages, gpu, ...given)
  const good = noise(4, 4)
  await refusesAll([
    [
      'no list',
      () => read(good, { size: 4 }),
      'readImages: pictures must be an array of pictures, at least one, got an object with data, width, height',
    ],
    [
      'an empty list',
      () => read([], { size: 4 }),
      'readImages: pictures must be an array of pictures, at least one, got an empty array',
    ],
    [
      'an address',
      () => read(['cat.jpg'], { size: 4 }),
      "readImages: a picture must be a File, a Blob, an ImageBitmap, a canvas, a VideoFrame, an image or video element, ImageData or { data, width, height }, got 'cat.jpg'",
    ],
    ...[null, undefined, 3].flatMap((none) =>
      [readImages, imageDataset].map((reader): Misuse => [
        `${String(none)} among pictures`,
        () => call(reader, gpu, [good, none, good], { size: 4 }),
        `${reader.name}: a picture must be a File, a Blob, an ImageBitmap, a canvas, a VideoFrame, an image or video element, ImageData or { data, width, height }, got ${String(none)}`,
      ]),
    ),
    [
      'no size',
      () => read([good], {}),
      'readImages: size is missing; it must be a whole number from 1 on',
    ],
    [
      'a file in Node',
      () => read([new File(['GIF89a'], 'a.gif')], { size: 4, broken: 'throw' }),
      "a.gif: there is no createImageBitmap here to decode it; give { data, width, height }, or read files in Node by openData('folder:PATH')",
    ],
    [
      'none that can be read',
      () => read([{ ...good, width: 3 }], { size: 4 }),
      'none of the 1 pictures could be read; the first, picture 0: data must be RGBA or RGB, 48 or 36 bytes for 3 x 4 pixels, got 64',
    ],
    [
      'no class',
      () => imageDataset(gpu, [good], { size: 4, classOf: () => 3 as unknown as string }),
      'imageDataset: classOf must return a name, or null for a picture without, got 3',
    ],
  ])
})

test.run()
