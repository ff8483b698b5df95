// Ops that take images in f16, against float64. Their inputs and cotangents are numbers that f16
// holds, so that only what they store is rounded.

import * as assert from 'uvu/assert'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { convNorm } from '../../kernels/conv/conv-norm.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { type Shape, type Tensor, sizeOf } from '../../kernels/op.ts'
import { adaptiveAvgPool } from '../../kernels/pool/adaptive-avg-pool.ts'
import { addPooled } from '../../kernels/pool/add-pooled.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { globalAvgPool } from '../../kernels/pool/global-avg-pool.ts'
import { maxPool } from '../../kernels/pool/max-pool.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { batchNormReference } from '../fixtures/batch-norm-reference.ts'
import { checkOp } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { grid, half } from '../fixtures/halves.ts'

const test = gpuSuite('images in f16')

const ROUNDED = 2 ** -11 + 2e-5 // one rounding to f16, and sums in f32

interface Case {
  readonly op: (...inputs: Tensor[]) => Tensor
  readonly reference: (...inputs: number[][]) => number[]
  readonly shapes: readonly Shape[]
  /** Roundings to f16 on the way to the value or a gradient, times what they are multiplied by; 1
   *  by default. */
  readonly roundings?: number
  /** The element type of the value; f16 by default. */
  readonly dtype?: 'f32'
}

/** Sums of windows of x [1, H, W, 4], times a number. */
const windows =
  (H: number, W: number, size: number, stride: number, reduce: (v: number[]) => number) =>
  (x: number[]) => {
    const y: number[] = []
    for (let i = 0; i + size <= H; i += stride)
      for (let j = 0; j + size <= W; j += stride)
        for (let c = 0; c < 4; c++) {
          const values = Array.from({ length: size * size }, (_, e) => {
            const [h, w] = [i + Math.floor(e / size), j + (e % size)]
            return x[(h * W + w) * 4 + c] ?? NaN
          })
          y.push(reduce(values))
        }
    return y
  }
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** A convolution 1 x 1 or 3 x 3, which keeps the size, of one image [side, side, 4], to K. */
const convolution = (side: number, size: number, K: number) => (x: number[], w: number[]) =>
  Array.from({ length: side * side * K }, (_, at) => {
    const [i, j] = [Math.floor(at / K / side), Math.floor(at / K) % side]
    let sum = 0
    for (let tap = 0; tap < size * size; tap++) {
      const [h, v] = [i + Math.floor(tap / size), j + (tap % size)].map((p) => p - (size - 1) / 2)
      if (h === undefined || v === undefined || h < 0 || h >= side || v < 0 || v >= side) continue
      for (let c = 0; c < 4; c++)
        sum += (x[(h * side + v) * 4 + c] ?? NaN) * (w[(tap * 4 + c) * K + (at % K)] ?? NaN)
    }
    return sum
  })

const normal = batchNormReference(4)
const plus = (a: number[], b: number[]) => a.map((v, i) => v + (b[i] ?? NaN))
const positive = (v: number[]) => v.map((e) => Math.max(e, 0))
const image: Shape = [1, 3, 3, 4]
const training = true

const cases: Record<string, Case> = {
  relu: { op: (x) => relu(half(x)), reference: positive, shapes: [image] },
  'add, of one shape': {
    op: (a, b) => add(half(a), half(b)),
    reference: plus,
    shapes: [image, image],
  },
  'add, of a row': {
    op: (a, b) => add(b, half(a)),
    reference: (a, b) => a.map((v, i) => v + (b[i % 4] ?? NaN)),
    shapes: [image, [4]],
  },
  'add, of f32': {
    op: (a, b) => add(half(a), b),
    reference: plus,
    shapes: [image, image],
    dtype: 'f32',
  },
  batchNorm: {
    op: (x, g, b) => batchNorm(half(x), g, b, null, { training }),
    reference: normal,
    shapes: [image, [4], [4]],
    roundings: 2, // its slope, gamma / deviation
  },
  'batchNorm, ReLU': {
    op: (x, g, b) => batchNorm(half(x), g, b, null, { training, relu: true }),
    reference: (x, g, b) => positive(normal(x, g, b)),
    shapes: [image, [4], [4]],
    roundings: 2,
  },
  'batchNorm, a residual, ReLU': {
    op: (x, g, b, r) =>
      batchNorm(half(x), g, b, null, {
        ...{ training, relu: true, residual: half(r) },
      }),
    reference: (x, g, b, r) => positive(plus(normal(x, g, b), r)),
    shapes: [image, [4], [4], image],
    roundings: 2,
  },
  'maxPool, overlapping': {
    op: (x) => maxPool(half(x), { size: 2, stride: 1 }),
    reference: windows(3, 3, 2, 1, (v) => Math.max(...v)),
    shapes: [image],
    roundings: 2, // gradients of four windows
  },
  avgPool: {
    op: (x) => avgPool(half(x), { size: 2, stride: 1 }),
    reference: windows(3, 3, 2, 1, mean),
    shapes: [image],
  },
  globalAvgPool: {
    op: (x) => globalAvgPool(half(x)),
    reference: windows(3, 3, 3, 1, mean),
    shapes: [image],
    dtype: 'f32',
  },
  adaptiveAvgPool: {
    op: (x) => adaptiveAvgPool(half(x), [3, 3]),
    reference: windows(3, 3, 1, 1, mean),
    shapes: [image],
    dtype: 'f32',
  },
  addPooled: {
    op: (branch, x) => addPooled(half(branch), half(x), { size: 2, stride: 1 }),
    reference: (branch, x) => {
      const pooled = windows(3, 3, 2, 1, mean)(x)
      return branch.map((v, i) =>
        i % 8 < 4 ? v + (pooled[Math.floor(i / 8) * 4 + (i % 8)] ?? NaN) : v,
      )
    },
    shapes: [[1, 2, 2, 8], image],
  },
  'conv2d, 3 x 3': {
    op: (x, w) => conv2d(half(x), w, { padding: 1 }),
    reference: convolution(3, 3, 4),
    shapes: [image, [3, 3, 4, 4]],
    roundings: 2, // sums are as large
  },
  'conv2d, 1 x 1': {
    op: (x, w) => conv2d(half(x), w),
    reference: convolution(3, 1, 8),
    shapes: [image, [1, 1, 4, 8]],
    roundings: 2,
  },
  'conv2d, to a number of channels that is no multiple of four': {
    op: (x, w) => conv2d(half(x), w),
    reference: convolution(3, 1, 5),
    shapes: [image, [1, 1, 4, 5]],
    dtype: 'f32',
  },
  // The convolution is stored, too, and what it rounds is divided by its deviation.
  'convNorm, a residual': {
    op: (x, w, g, b, r) =>
      convNorm(half(x), w, g, b, null, {
        ...{ training, padding: 1, residual: half(r) },
      }),
    reference: (x, w, g, b, r) => plus(normal(convolution(3, 3, 4)(x, w), g, b), r),
    shapes: [image, [3, 3, 4, 4], [4], [4], image],
    roundings: 8,
  },
}

// Kernels of convolutions for GPUs: conv/conv-tiled.test.ts.
for (const kernels of ['device', 'gpu'] as const)
  for (const [name, { op, reference, shapes, roundings = 1, dtype = 'f16' }] of Object.entries(
    cases,
  )) {
    if (kernels === 'gpu' && !/^batchNorm|^convNorm/.test(name)) continue
    test(`${name}, ${kernels}: value and gradients`, async ({ gpu: host }) => {
      const gpu = new Gpu(host.device, { kernels, activations: 'f16' })
      const values = shapes.map((shape, i) => grid(shape, i + 1))
      const y = op(...values.map((v, i) => gpu.tensor(v, shapes[i] ?? [])))
      assert.is(y.dtype, dtype)
      await checkOp(gpu, op, reference, shapes, {
        ...{ values, cotangent: grid(y.shape, 99) },
        tolerance: roundings * ROUNDED,
      })
      gpu.destroy()
    })
  }

test('sizes that threads do not divide', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  for (const shape of [
    [1, 1, 1, 4],
    [1, 1, 63, 4],
    [5, 13, 1, 4],
    [1, 1, 130, 8],
  ]) {
    const C = shape[3] ?? NaN
    await checkOp(
      gpu,
      (x, b) => relu(add(half(x), b)),
      (x, b) => positive(x.map((v, i) => v + (b[i % C] ?? NaN))),
      [shape, [C]],
      {
        values: [grid(shape, 1), grid([C], 2).map((v) => v + 2 ** -12)], // no sum is 0
        cotangent: grid(shape, 99),
        tolerance: ROUNDED * Math.sqrt(sizeOf(shape)), // gradients are compared along directions
      },
    )
  }
  gpu.destroy()
})

test.run()
