import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { type Conv2dOptions, conv2d } from '../../../kernels/conv/conv2d.ts'
import type { Shape, Tensor } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { conv2dGolden } from '../../fixtures/golden-products.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('conv2d')

interface Layer {
  readonly x: readonly [N: number, H: number, W: number, C: number]
  readonly w: readonly [kH: number, kW: number, K: number]
  readonly stride?: readonly [number, number]
  readonly padding?: readonly [number, number]
  readonly padMode?: 'zeros' | 'reflect'
}

/** The definition of a convolution, pixel by pixel. */
function reference({
  x: [N, H, W, C],
  w: [kH, kW, K],
  stride = [1, 1],
  padding = [0, 0],
  padMode,
}: Layer) {
  const fold = (i: number, size: number) => size - 1 - Math.abs(size - 1 - Math.abs(i))
  const at = (x: number[], n: number, h: number, v: number, c: number) => {
    const [row, column] = padMode === 'reflect' ? [fold(h, H), fold(v, W)] : [h, v]
    if (row < 0 || row >= H || column < 0 || column >= W) return 0
    return x[((n * H + row) * W + column) * C + c] ?? NaN
  }
  return (x: number[], w: number[]) => {
    const y: number[] = []
    for (let n = 0; n < N; n++)
      for (let h = -padding[0]; h + kH <= H + padding[0]; h += stride[0])
        for (let v = -padding[1]; v + kW <= W + padding[1]; v += stride[1])
          for (let k = 0; k < K; k++) {
            let sum = 0
            for (let r = 0; r < kH; r++)
              for (let s = 0; s < kW; s++)
                for (let c = 0; c < C; c++)
                  sum += at(x, n, h + r, v + s, c) * (w[((r * kW + s) * C + c) * K + k] ?? NaN)
            y.push(sum)
          }
    return y
  }
}

const check = (gpu: Gpu, layer: Layer) => {
  const { x, w, ...options } = layer
  const op = (image: Tensor, weight: Tensor) => conv2d(image, weight, options)
  const weightShape: Shape = [w[0], w[1], x[3], w[2]]
  return checkOp(gpu, op, reference(layer), [x, weightShape])
}

test('convolves below, at and above the tile of 256 pixels by 8 channels, in fours and not', async ({
  gpu,
}) => {
  await check(gpu, { x: [1, 1, 1, 1], w: [1, 1, 1] })
  await check(gpu, { x: [1, 3, 2, 2], w: [2, 1, 3] })
  await check(gpu, { x: [1, 16, 16, 1], w: [3, 3, 8], padding: [1, 1] })
  await check(gpu, { x: [2, 3, 5, 9], w: [3, 3, 12], padding: [1, 1] })
  await check(gpu, { x: [1, 13, 20, 4], w: [2, 2, 9] })
  await check(gpu, { x: [3, 4, 3, 17], w: [1, 1, 20] })
})

for (const size of [1, 2, 3, 4, 5, 7])
  test(`takes every stride and padding with kernels of ${size}`, async ({ gpu }) => {
    for (const stride of [1, 2, 3])
      for (const padding of [0, 1, 2, 3])
        await check(gpu, {
          x: [1, 8, 9, 1],
          w: [size, size, 2],
          stride: [stride, stride],
          padding: [padding, padding],
        })
  })

// On a software adapter: whole tiles of 16 channels and fours of pixels, rows of 4, 8 and 12.
test('takes channels and rows that fill the tiles of a software adapter', async ({ gpu }) => {
  const padding = [1, 1] as const
  await check(gpu, { x: [3, 4, 4, 16], w: [3, 3, 16], padding })
  await check(gpu, { x: [1, 9, 8, 16], w: [3, 3, 32], padding })
  await check(gpu, { x: [2, 5, 12, 16], w: [3, 3, 16], padding })
})

test('takes whole tiles at other strides, paddings and sizes of kernels', async ({ gpu }) => {
  const stride = [2, 2] as const
  await check(gpu, { x: [2, 7, 8, 16], w: [3, 3, 16], padding: [1, 1], stride })
  await check(gpu, { x: [1, 6, 8, 32], w: [3, 3, 16], padding: [0, 1], stride: [1, 2] })
  await check(gpu, { x: [2, 4, 8, 16], w: [1, 1, 16], stride })
  await check(gpu, { x: [1, 3, 4, 16], w: [1, 1, 32] })
  await check(gpu, { x: [1, 4, 6, 16], w: [3, 3, 16] })
  await check(gpu, { x: [1, 3, 8, 6], w: [3, 3, 16], padding: [1, 1] })
  await check(gpu, { x: [1, 3, 8, 16], w: [2, 3, 16], padding: [2, 2] })
})

test('takes empty tensors, whose sums are 0', async ({ gpu }) => {
  const noImages = [
    [0, 16, 16],
    [0, 3, 16],
    [0, 3, 5],
  ] as const
  const noChannels = [
    [2, 0, 16],
    [2, 0, 5],
    [2, 16, 0],
    [2, 3, 0],
  ] as const
  for (const [N, C, K] of [...noImages, ...noChannels])
    await check(gpu, { x: [N, 4, 4, C], w: [3, 3, K], padding: [1, 1] })
})

test('takes other steps along rows than along columns', async ({ gpu }) => {
  await check(gpu, { x: [2, 7, 6, 3], w: [3, 2, 4], stride: [2, 1], padding: [0, 1] })
  await check(gpu, { x: [2, 5, 9, 2], w: [1, 4, 5], stride: [1, 3], padding: [2, 3] })
  await check(gpu, { x: [1, 9, 5, 2], w: [2, 1, 1], stride: [4, 2] })
})

test('takes strides far beyond the image', ({ gpu }) =>
  check(gpu, { x: [1, 4, 3, 1], w: [2, 2, 1], stride: [2, 32767] }))

test('reflects the image, and folds the gradient back', async ({ gpu }) => {
  const padMode = 'reflect'
  await check(gpu, { x: [2, 4, 5, 3], w: [3, 3, 2], padding: [1, 1], padMode })
  await check(gpu, { x: [1, 4, 6, 2], w: [5, 5, 3], stride: [2, 2], padding: [2, 2], padMode })
  await check(gpu, { x: [1, 4, 3, 1], w: [7, 4, 1], stride: [1, 2], padding: [3, 2], padMode })
  await check(gpu, { x: [1, 3, 2, 1], w: [2, 2, 2], padding: [2, 0], padMode })
})

test('the weight gradient of many image rows, summed in parts', ({ gpu }) =>
  check(gpu, { x: [9, 7, 2, 2], w: [3, 1, 3], padding: [1, 0] }))

test('computes no gradient that nobody wants', async ({ gpu }) => {
  const w = gpu.tensor(random(9), [3, 3, 1, 1])
  const x = gpu.tensor(random(16), [1, 4, 4, 1])
  const dispatches = async (image: Tensor, weight: Tensor) => {
    const y = conv2d(image, weight)
    await gpu.sync()
    const before = gpu.stats().dispatches
    const gradients = gpu.backward(y)
    await gpu.sync()
    assert.equal(
      gradients.tensors().slice(1),
      [image, weight].filter((t) => t === x || t === w),
    )
    return gpu.stats().dispatches - before
  }
  const constant = (t: Tensor) => gpu.noGrad(() => add(t, 0))
  const both = await dispatches(x, w)
  assert.is((await dispatches(constant(x), w)) + (await dispatches(x, constant(w))), both)
})

test('refuses shapes that do not fit, naming them', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const told = (x: Tensor, w: Tensor, options: Conv2dOptions, message: string) =>
    assert.throws(
      () => conv2d(x, w, options),
      (e: Error) => e.message === message,
    )
  const x = t(1, 4, 5, 3)
  told(
    x,
    t(3, 3, 4, 2),
    {},
    'conv2d: channels differ, x [1, 4, 5, 3] has 3 and w [3, 3, 4, 2] takes 4',
  )
  told(
    x,
    t(5, 5, 3, 2),
    {},
    'conv2d: the kernel must fit in the padded image, got w [5, 5, 3, 2], x [1, 4, 5, 3], padding [0, 0]',
  )
  told(t(4, 5, 3), t(3, 3, 3, 2), {}, 'conv2d: x must be images [N, H, W, C], got [4, 5, 3]')
  told(
    x,
    t(3, 3, 3, 2),
    { stride: [256, 256] },
    'conv2d: stride may be at most 65535, rows times columns, got [256, 256]',
  )
  // Callers without types can give any list.
  told(
    x,
    t(3, 3, 3, 2),
    { stride: [1] as unknown as [number, number] },
    'conv2d: stride must be a number or [rows, columns], got [1]',
  )
  told(
    x,
    t(3, 3, 3, 2),
    { padding: [1, 1, 1, 1] as unknown as [number, number] },
    'conv2d: padding must be a number or [rows, columns], got [1, 1, 1, 1]',
  )
  told(x, t(3, 3, 3), {}, 'conv2d: w must be [kH, kW, Cin, Cout], got [3, 3, 3]')
  told(
    x,
    t(3, 3, 3, 2),
    { stride: 0 },
    'conv2d: stride must be whole numbers of at least 1, got [0, 0]',
  )
  told(
    x,
    t(3, 3, 3, 2),
    { padding: 1.5 },
    'conv2d: padding must be whole numbers of at least 0, got [1.5, 1.5]',
  )
  told(
    x,
    t(3, 3, 3, 2),
    { padding: [4, 1], padMode: 'reflect' },
    'padReflect: padding must be smaller than the image, got padding [4, 1] of [1, 4, 5, 3]',
  )
})

for (const name of goldenNames('conv2d_'))
  test(`agrees with PyTorch: ${name}`, ({ gpu }) => conv2dGolden(gpu, new Golden(name)))

test.run()
