import * as assert from 'uvu/assert'
import { adaptiveAvgPool } from '../../../kernels/pool/adaptive-avg-pool.ts'
import { avgPool } from '../../../kernels/pool/avg-pool.ts'
import { globalAvgPool } from '../../../kernels/pool/global-avg-pool.ts'
import { maxPool } from '../../../kernels/pool/max-pool.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { checkOp } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('pooling')

interface Config {
  readonly op: 'max_pool2d' | 'avg_pool2d' | 'adaptive_avg_pool2d'
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly out: readonly [number, number]
}

type Image = readonly [N: number, H: number, W: number, C: number]
type Range = readonly [start: number, end: number]

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
const max = (values: number[]) => Math.max(...values)

/** Reduces every window rows x columns of every image and channel; `outside` stands for a padding
 *  pixel. */
const pooled =
  (
    [N, H, W, C]: Image,
    rows: Range[],
    columns: Range[],
    reduce: (v: number[]) => number,
    outside = NaN,
  ) =>
  (x: number[]) => {
    const y: number[] = []
    for (let n = 0; n < N; n++)
      for (const [top, bottom] of rows)
        for (const [left, right] of columns)
          for (let c = 0; c < C; c++) {
            const values: number[] = []
            for (let h = top; h < bottom; h++)
              for (let v = left; v < right; v++) {
                const inside = h >= 0 && h < H && v >= 0 && v < W
                values.push(inside ? (x[((n * H + h) * W + v) * C + c] ?? NaN) : outside)
              }
            y.push(reduce(values))
          }
    return y
  }

const windows = (side: number, size: number, stride: number, padding: number): Range[] =>
  Array.from({ length: Math.floor((side + 2 * padding - size) / stride) + 1 }, (_, i) => [
    i * stride - padding,
    i * stride - padding + size,
  ])

const cells = (side: number, count: number): Range[] =>
  Array.from({ length: count }, (_, i) => [
    Math.floor((i * side) / count),
    Math.ceil(((i + 1) * side) / count),
  ])

const layers = [
  { x: [1, 1, 1, 1], size: 1 },
  { x: [2, 4, 6, 3], size: 2 },
  { x: [1, 5, 7, 2], size: 2 },
  { x: [2, 7, 5, 5], size: 3, stride: 2, padding: 1 },
  { x: [1, 6, 6, 1], size: 3, stride: 1, padding: 1 },
  { x: [1, 8, 9, 2], size: 2, stride: 3, padding: 1 },
  { x: [1, 7, 9, 1], size: 5, stride: 2, padding: 2 },
] as const

for (const layer of layers) {
  const {
    x,
    size,
    stride = size,
    padding = 0,
  } = { stride: undefined, padding: undefined, ...layer }
  const named = `size ${size}, stride ${stride}, padding ${padding}, of [${x.join(', ')}]`
  const [rows, columns] = [
    windows(x[1], size, stride, padding),
    windows(x[2], size, stride, padding),
  ]

  test(`maximum of windows: ${named}`, ({ gpu }) =>
    checkOp(
      gpu,
      (t) => maxPool(t, { size, stride, padding }),
      pooled(x, rows, columns, max, -Infinity),
      [x],
    ))

  test(`mean of windows: ${named}`, ({ gpu }) =>
    checkOp(gpu, (t) => avgPool(t, { size, stride, padding }), pooled(x, rows, columns, mean, 0), [
      x,
    ]))
}

test('mean over a grid whose cells overlap, or are pixels, or repeat them', async ({ gpu }) => {
  for (const [x, oh, ow] of [
    [[2, 7, 8, 3], 3, 3],
    [[1, 4, 6, 2], 2, 6],
    [[1, 3, 5, 2], 5, 7],
  ] as const)
    await checkOp(
      gpu,
      (t) => adaptiveAvgPool(t, [oh, ow]),
      pooled(x, cells(x[1], oh), cells(x[2], ow), mean),
      [x],
    )
})

test('mean over whole images, one row of features each', async ({ gpu }) => {
  for (const x of [
    [1, 1, 1, 1],
    [3, 4, 5, 7],
    [2, 2, 2, 70],
  ] as const)
    await checkOp(gpu, globalAvgPool, pooled(x, cells(x[1], 1), cells(x[2], 1), mean), [x])
  assert.equal(globalAvgPool(gpu.tensor([1, 2, 3, 5], [1, 2, 2, 1])).shape, [1, 1])
})

test('the gradient of a maximum goes to the first of equals', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(9), [1, 3, 3, 1])
  const y = maxPool(x, { size: 2, stride: 1 })
  const dx = gpu.backward(y, gpu.tensor([1, 2, 4, 8], [1, 2, 2, 1])).of(x)
  assert.equal([...(await gpu.read(dx ?? x))], [1, 2, 0, 4, 8, 0, 0, 0, 0])
})

test('a window with a NaN has no other maximum', async ({ gpu }) => {
  for (const at of [0, 1, 3]) {
    const x = new Float32Array([1, 2, 3, 4, 5, 6, 7, 8])
    x[at] = NaN
    const y = maxPool(gpu.tensor(x, [2, 2, 2, 1]), { size: 2 })
    assert.equal([...(await gpu.read(y))], [NaN, 8], `NaN at ${at}`)
  }
})

test('refuses windows that do not fit', ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(12), [1, 2, 3, 2])
  const told = (run: () => unknown, message: string) =>
    assert.throws(run, (e: Error) => e.message === message)
  told(
    () => maxPool(x, { size: 3 }),
    'maxPool: the window must fit in the padded image, got size 3, padding 0, x [1, 2, 3, 2]',
  )
  told(
    () => avgPool(x, { size: 2, padding: 2 }),
    'avgPool: padding must be at most half the window, got 2 for size 2',
  )
  told(
    () => maxPool(x, { size: 2, stride: 0 }),
    'maxPool: stride must be a whole number of at least 1, got 0',
  )
  told(
    () => adaptiveAvgPool(x, [0, 1]),
    'adaptiveAvgPool: size must be whole positive numbers, got [0, 1]',
  )
  told(
    () => globalAvgPool(gpu.tensor([1, 2], [1, 2])),
    'globalAvgPool: x must be images [N, H, W, C], got [1, 2]',
  )
})

for (const name of goldenNames('maxpool', 'avgpool', 'adaptive_avg_pool'))
  test(`agrees with PyTorch: ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { op, kernel: size, stride, padding, out } = golden.config as unknown as Config // as cases.json has it
    const pool = (t: Tensor) => {
      if (op === 'adaptive_avg_pool2d') return adaptiveAvgPool(t, out)
      return (op === 'max_pool2d' ? maxPool : avgPool)(t, { size, stride, padding })
    }
    const x = golden.images(gpu, 'in.x')
    const y = pool(x)
    await golden.matchImages(gpu, 'out.y', y)
    await golden.matchImages(gpu, 'grad.x', gpu.backward(y, golden.images(gpu, 'up.y')).of(x))
    golden.done()
  })

test.run()
