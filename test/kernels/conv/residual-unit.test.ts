import * as assert from 'uvu/assert'
import { residualUnit, residualUnitOp } from '../../../kernels/conv/residual-unit.ts'
import { convDataGradient, convForward } from '../../../kernels/conv/forward.ts'
import { finished } from '../../../kernels/matmul/finished.ts'
import { type Tensor, sizeOf } from '../../../kernels/op.ts'
import { storedAs } from '../../../kernels/wgsl/storage.ts'
import type { LastStep } from '../../../kernels/wgsl/finish.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { type ConvLayer, convolution, outOf, weightOf } from '../../fixtures/convolution.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { engines, gpuRun } from '../../fixtures/rounding.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('residualUnit'))
const onF16 = needing('shader-f16', test, full)

/** A unit: its first convolution, and the channels of its output. */
interface Unit {
  readonly first: ConvLayer
  readonly K: number
  readonly projected?: boolean
}

const units: Readonly<Record<string, Unit>> = {
  'x itself, odd channels': { first: { x: [2, 3, 2, 5], w: [1, 1, 3] }, K: 5 },
  'x itself, a tile and more': { first: { x: [3, 4, 3, 36], w: [1, 1, 36] }, K: 36 },
  'pooled, with channels of zeros': { first: { x: [2, 6, 6, 4], w: [2, 2, 8], stride: 2 }, K: 8 },
  'pooled by windows that overlap': { first: { x: [2, 5, 4, 3], w: [3, 3, 6] }, K: 5 },
  'more channels of one pixel': { first: { x: [2, 2, 2, 4], w: [1, 1, 4] }, K: 8 },
  'a projection': { first: { x: [2, 3, 3, 4], w: [1, 1, 12] }, K: 12, projected: true },
  'a projection, odd channels': { first: { x: [2, 2, 3, 3], w: [1, 1, 4] }, K: 7, projected: true },
}

const shapesOf = ({ first, K, projected = false }: Unit) => {
  const [, , D] = first.w
  const more = projected ? [[1, 1, first.x[3], K], [K]] : []
  return [[...first.x], weightOf(first), [1, 1, D, K], ...more]
}

/** The mean of each window of x, in the first channels of K. */
function pooled(
  { x: [, H, W, C], w: [size], stride = 1 }: ConvLayer,
  [N, outH, outW, K]: number[],
) {
  return (x: number[]) =>
    Array.from({ length: sizeOf([N ?? 0, outH ?? 0, outW ?? 0, K ?? 0]) }, (_, at) => {
      const k = at % (K ?? 1)
      if (k >= C) return 0
      const pixel = Math.floor(at / (K ?? 1))
      const j = pixel % (outW ?? 1)
      const i = Math.floor(pixel / (outW ?? 1)) % (outH ?? 1)
      const n = Math.floor(pixel / (outW ?? 1) / (outH ?? 1))
      let sum = 0
      for (let tap = 0; tap < size * size; tap++) {
        const [h, v] = [i * stride + Math.floor(tap / size), j * stride + (tap % size)]
        sum += x[((n * H + h) * W + v) * C + k] ?? NaN
      }
      return sum / (size * size)
    })
}

/** A unit in float64. */
function reference({ first, K, projected = false }: Unit) {
  const [N = 0, outH = 0, outW = 0, D = 0] = outOf(first)
  const second: ConvLayer = { x: [N, outH, outW, D], w: [1, 1, K] }
  const pool = pooled(first, [N, outH, outW, K])
  const project = convolution({ x: first.x, w: [1, 1, K] })
  return (x: number[], w1: number[], w2: number[], w3: number[] = [], b3: number[] = []) => {
    const h = convolution(first)(x, w1).map((v) => Math.max(v, 0))
    const shortcut = projected ? project(x, w3).map((v, i) => v + (b3[i % K] ?? NaN)) : pool(x)
    return convolution(second)(h, w2).map((v, i) => v + (shortcut[i] ?? NaN))
  }
}

const machines = ['GPU kernels', 'f16 without matrices', 'f16x3'] as const
for (const [variant, apply] of variants(residualUnitOp, machines))
  for (const [name, unit] of Object.entries(units)) {
    const isOnMatrices = variant === ', f16x3' // whose pipelines take seconds each to compile
    if (isOnMatrices && !['a projection', 'pooled, with channels of zeros'].includes(name)) continue
    const isQuick = variant === '' || (variant === ', GPU kernels' && name.includes('itself, odd'))
    const register = isQuick ? test : variant.includes('f16') ? onF16 : full
    register(`${name}${variant}: equals its formula in float64, gradients included`, ({ gpu }) =>
      checkOp(
        gpu,
        (...inputs) =>
          apply({ stride: unit.first.stride ?? 1 }, ...(inputs as [Tensor, Tensor, Tensor])), // or five
        reference(unit),
        shapesOf(unit),
      ),
    )
  }

const same = (a: Float32Array, b: Float32Array, what: string) =>
  assert.equal(new Uint32Array(a.buffer.slice(0)), new Uint32Array(b.buffer.slice(0)), what)

const hows = ['rectify', 'mask', 'add'] as const satisfies readonly LastStep['how'][]

/** Compares a product that ends with its last step with one that takes another pass: rows of fours,
 *  rows that are none, and windows, forward and back. Every last step with each of the three, or
 *  one with each. */
async function equalsPasses(gpu: Gpu, run: ReturnType<typeof gpuRun>, most: 'all' | 'one each') {
  const layers: readonly ConvLayer[] = [
    { x: [2, 5, 4, 8], w: [1, 1, 12] },
    { x: [2, 2, 3, 3], w: [1, 1, 5] },
    { x: [2, 6, 5, 8], w: [3, 3, 12], stride: 2 },
  ]
  for (const [l, layer] of layers.entries()) {
    const steps = { stride: [layer.stride ?? 1, layer.stride ?? 1], padding: [0, 0] } as const
    const values = (shape: readonly number[], seed: number) =>
      gpu.tensor(
        random(sizeOf(shape), seed).map((v, i) => (i === 7 ? NaN : v)),
        shape,
      )
    const w = gpu.tensor(random(sizeOf(weightOf(layer)), 2), weightOf(layer))
    const [x, dy] = [values(layer.x, 1), values(outOf(layer), 3)]
    for (const how of most === 'all' ? hows : hows.slice(l, l + 1)) {
      const check = async (what: string, compute: (finish: LastStep | null) => Tensor) => {
        const plain = compute(null)
        const other = storedAs(run, plain.dtype, values(plain.shape, 4))
        const finish: LastStep = how === 'rectify' ? { how } : { how, other }
        const [one, two] = [compute(finish), finished(run, plain, finish)]
        same(await gpu.read(one), await gpu.read(two), `${what} ${l}, ${how}`)
      }
      await check('forward', (f) => convForward(run, x, w, outOf(layer), steps, f))
      const image = { shape: layer.x, dtype: 'f32' } as const
      await check('back', (f) => convDataGradient(run, dy, w, image, steps, f))
    }
  }
}

for (const way of [0, 1, 2, 3, 4])
  full(`f32, tile ${way}: a last step gives the bits of another pass`, ({ gpu }) =>
    equalsPasses(gpu, gpuRun(gpu, engines.f32, way), 'all'),
  )

for (const [name, way] of [
  ['f16 on matrices', 3],
  ['f16x3 on matrices', 2],
] as const)
  // each the smallest tile, as larger ones take a minute to compile
  onF16(`${name}, tile ${way}: a last step gives the bits of another pass`, ({ gpu }) =>
    equalsPasses(gpu, gpuRun(gpu, engines[name], way), 'one each'),
  )

full('images in f16 are rounded once, after the last step', async ({ gpu }) => {
  const engine = { ...engines.f32, activations: 'f16' } as const
  const run = gpuRun(gpu, engine, 4)
  const layer: ConvLayer = { x: [2, 5, 4, 8], w: [1, 1, 12] }
  const steps = { stride: [1, 1], padding: [0, 0] } as const
  const x = storedAs(run, 'f16', gpu.tensor(random(320, 1), layer.x))
  const w = gpu.tensor(random(96, 2), weightOf(layer))
  const other = storedAs(run, 'f16', gpu.tensor(random(480, 3), outOf(layer)))
  const got = convForward(run, x, w, outOf(layer), steps, { how: 'add', other })
  assert.is(got.dtype, 'f16')
  const wide = gpuRun(gpu, engines.f32, 4)
  const sums = convForward(wide, x, w, outOf(layer), steps)
  assert.is(sums.dtype, 'f32')
  const expected = finished(run, sums, { how: 'add', other: storedAs(run, 'f32', other) })
  same(await gpu.read(got), await gpu.read(storedAs(run, 'f16', expected)), 'y')
})

test('counts the multiply-adds of its convolutions', () => {
  const strided = [
    [2, 5, 5, 3],
    [3, 3, 3, 8],
    [1, 1, 8, 7],
  ] as const // 2 x 2 pixels of each image
  assert.is(residualUnitOp.flops?.({ stride: 2 }, ...strided), 2 * 8 * (27 * 8 + 8 * 7))
  const projected = [[2, 3, 3, 4], [1, 1, 4, 5], [1, 1, 5, 6], [1, 1, 4, 6], [6]] as const
  assert.is(residualUnitOp.flops?.({ stride: 1 }, ...projected), 2 * 18 * (4 * 5 + 5 * 6 + 4 * 6))
})

test('refuses shapes that do not fit', ({ gpu }) => {
  const t = (...shape: number[]) => gpu.tensor(new Float32Array(sizeOf(shape)), shape)
  const x = t(1, 4, 4, 3)
  refuses(
    () => residualUnit(x, t(1, 1, 4, 3), t(1, 1, 3, 3)),
    'conv2d: channels differ, x [1, 4, 4, 3] has 3 and w [1, 1, 4, 3] takes 4',
  )
  refuses(
    () => residualUnit(x, t(1, 2, 3, 3), t(1, 1, 3, 3)),
    'residualUnit: w1 must have as many rows as columns, got [1, 2, 3, 3]',
  )
  refuses(
    () => residualUnit(x, t(1, 1, 3, 3), t(2, 2, 3, 3)),
    'residualUnit: w2 must be [1, 1, C, K], got [2, 2, 3, 3]',
  )
  refuses(
    () => residualUnit(x, t(2, 2, 3, 3), t(1, 1, 3, 2), { stride: 2 }),
    'addPooled: the branch must be [N, H, W, K] of the pooled size, K at least its channels, got [1, 2, 2, 2] and [1, 2, 2, 3]',
  )
  const projection = { w: t(1, 1, 3, 4), b: t(4) }
  refuses(
    () => residualUnit(x, t(1, 1, 3, 3), t(1, 1, 3, 5), { projection }),
    "residualUnit: the projection must have the branch's shape [1, 4, 4, 5], got [1, 4, 4, 4]",
  )
  refuses(
    () => residualUnit(x, t(1, 1, 3, 3), t(1, 1, 3, 4), { projection: { ...projection, b: t(3) } }),
    "residualUnit: the projection's bias must have one value per channel, got [3] for [1, 4, 4, 4]",
  )
  refuses(
    () => residualUnit(x, t(1, 1, 3, 3), t(1, 1, 3, 3), { stride: 0 }),
    'residualUnit: stride must be a whole number from 1 on, got 0',
  )
})

test.run()
