// A data gradient that is summed for the batch norm that reads it, in the tiles that compute it.

import * as assert from 'uvu/assert'
import { convDataGradient, convInputGradient } from '../../../kernels/conv/forward.ts'
import { convNorm } from '../../../kernels/conv/conv-norm.ts'
import { batchNormForward } from '../../../kernels/norm/normalize.ts'
import { type NormReader, Pending } from '../../../kernels/pending.ts'
import type { Run, Tensor } from '../../../kernels/op.ts'
import { storedAs } from '../../../kernels/wgsl/storage.ts'
import { MARKED_ROWS } from '../../../kernels/wgsl/relu-mask.ts'
import { partitionRows } from '../../../kernels/norm/batch-rows.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { grid } from '../../fixtures/halves.ts'
import { replaysAlike } from '../../fixtures/replays-alike.ts'
import { engines, gpuRun } from '../../fixtures/rounding.ts'

const [test, full] = quickAndFull(gpuSuite('sums of a data gradient'))
const onF16 = needing('shader-f16', test, full)

interface Layer {
  readonly x: readonly [N: number, H: number, W: number, C: number]
  readonly w: readonly [size: number, K: number]
  readonly stride?: number
}

// A matrix product, windows, and phases, of which the last rows have fewer; rows below, at and
// above a chunk of 32 and a tile; channels beyond a tile, and so many that a part of the marks has
// every row.
const layers: readonly Layer[] = [
  { x: [2, 3, 5, 8], w: [1, 32] },
  { x: [1, 8, 8, 256], w: [1, 8] },
  { x: [2, 6, 7, 36], w: [3, 8] },
  { x: [3, 7, 5, 72], w: [3, 32], stride: 2 },
]

/** What a reader knows of an x of that layer: with or without a ReLU, a residual and an addend. */
async function readerOf(gpu: Gpu, run: Run, x: Tensor, kind: Kind) {
  const C = x.shape[3] ?? NaN
  const made = (seed: number, shape = x.shape) => gpu.tensor(grid(shape, seed), shape)
  const [gamma, beta] = [made(11, [C]), made(12, [C])]
  const splits = { splits: 1, inTurn: false }
  const settings = { training: true, momentum: 0.1, eps: 1e-5, ...splits, running: null }
  const norm = { ...settings, rectified: kind !== 'no ReLU' }
  const residual = storedAs(run, 'f16', made(13))
  const isBehind = kind === 'behind a residual' || kind === 'with an addend'
  const [y, stats, bits] = batchNormForward(
    run,
    norm,
    isBehind ? [x, gamma, beta, residual] : [x, gamma, beta],
  )
  const { interleave } = partitionRows(x, MARKED_ROWS, splits).params
  const addend = kind === 'with an addend' ? storedAs(run, 'f16', made(14)) : null
  const reader: NormReader = {
    ...{ x, stats, gamma, beta, rectified: norm.rectified, addend },
    marks: bits ? { bits, interleave } : null,
  }
  assert.is(bits !== undefined, isBehind)
  const [values, added] = [await gpu.read(y), addend ? await gpu.read(addend) : null]
  return { reader, passed: (i: number) => !norm.rectified || (values[i] ?? NaN) > 0, added }
}

const kinds = ['no ReLU', 'ReLU', 'behind a residual', 'with an addend'] as const
type Kind = (typeof kinds)[number]

/** Compares with the gradient alone, and with its sums in float64; returns the numbers. */
async function compare(gpu: Gpu, run: Run, layer: Layer, kind: Kind) {
  const {
    x: shape,
    w: [size, K],
    stride = 1,
  } = layer
  const [N, H, W, C] = shape
  const padding = (size - 1) / 2
  const steps = { stride: [stride, stride], padding: [padding, padding] } as const
  const out = [N, Math.ceil(H / stride), Math.ceil(W / stride), K]
  const image = (seed: number, like: readonly number[]) =>
    storedAs(run, 'f16', gpu.tensor(grid(like, seed), like))
  const [x, dy] = [image(1, shape), image(2, out)]
  const w = gpu.tensor(grid([size, size, C, K], 3), [size, size, C, K])
  const { reader, passed, added } = await readerOf(gpu, run, x, kind)
  const pending = convInputGradient(run, dy, w, x, steps)
  assert.instance(pending, Pending)
  const { dz, sums } = (pending as Pending).computeFor(reader)
  const got = [await gpu.read(dz), await gpu.read(sums)] as const
  const inRegisters = gpuRun(gpu, { ...engines.f32, activations: 'f16' })
  const alone = await gpu.read(convDataGradient(inRegisters, dy, w, x, steps))
  const stats = await gpu.read(reader.stats)
  const xs = await gpu.read(x)
  const expected = Array.from({ length: 2 * C }, () => 0)
  const most = Array.from({ length: 2 * C }, () => 0)
  for (const [i, d] of alone.entries()) {
    const value = passed(i) ? d + (added?.[i] ?? 0) : 0
    const error = Math.abs((got[0][i] ?? NaN) - value)
    assert.ok(error <= 2 ** -10 * (Math.abs(d) + Math.abs(value)), `${kind}: dz[${i}]`)
    const c = i % C
    const normal = ((xs[i] ?? NaN) - (stats[c] ?? NaN)) * (stats[C + c] ?? NaN)
    for (const [at, v] of [
      [c, value],
      [C + c, value * normal],
    ] as const) {
      expected[at] = (expected[at] ?? NaN) + v
      most[at] = (most[at] ?? NaN) + Math.abs(v) + Math.abs(passed(i) ? (v / (value || 1)) * d : 0)
    }
  }
  const chunks = sums.shape[1] ?? NaN
  for (const [at, sum] of expected.entries()) {
    let total = 0
    for (let k = 0; k < chunks; k++)
      total += got[1][(Math.floor(at / C) * chunks + k) * C + (at % C)] ?? NaN
    const error = Math.abs(total - sum)
    assert.ok(error <= 2 ** -11 * (most[at] ?? NaN), `${kind}: sum ${at} is ${total}, not ${sum}`)
  }
  return got
}

function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing')
  return value
}

const onMatrices = (precision: 'f16' | 'f16x3') =>
  ({ ...engines[`${precision} on matrices`], activations: 'f16' }) as const

// Few kernels, since emulated matrices take long to compile.
onF16('equals the gradient alone and its sums in float64', async ({ gpu }) => {
  const run = gpuRun(gpu, onMatrices('f16'))
  for (const [i, kind] of kinds.entries()) await compare(gpu, run, given(layers[i]), kind)
  await compare(gpu, gpuRun(gpu, onMatrices('f16x3')), given(layers[0]), 'ReLU')
})

onF16('tiles of one and of two subgroups to a chunk give the same bits', async ({ gpu }) => {
  const layer: Layer = { x: [5, 6, 5, 72], w: [1, 32] }
  const found = []
  for (const way of [2, 4])
    found.push(await compare(gpu, gpuRun(gpu, onMatrices('f16'), way), layer, 'ReLU'))
  for (const got of found.slice(1)) assert.equal(got, found[0])
})

/** Two residual blocks of C channels, with a shortcut in the second. */
function blocks(x: Tensor, weights: readonly Tensor[], gamma: Tensor, beta: Tensor) {
  const layer = (h: Tensor, i: number, residual: Tensor | null = null, relu = true) =>
    convNorm(h, given(weights[i]), gamma, beta, null, {
      ...{ training: true, residual, relu },
    })
  const first = layer(x, 0)
  const second = layer(layer(first, 1), 2, first)
  const shortcut = layer(second, 3, null, false)
  return { second, y: layer(layer(second, 4), 5, shortcut) }
}

onF16(
  'a network has the gradients of one in f32; captured, the same bits',
  async ({ gpu: host }) => {
    const image = [2, 6, 6, 8]
    const results = []
    for (const options of [
      {},
      { kernels: 'matrices', precision: 'f16', activations: 'f16' },
    ] as const) {
      const gpu = new Gpu(host.device, options)
      const made = (shape: readonly number[], seed: number, mean = 0) =>
        gpu.tensor(
          grid(shape, seed).map((v) => mean + v / 2),
          shape,
        )
      const weights = [1, 2, 3, 4, 5, 6].map((seed) => made([1, 1, 8, 8], seed))
      const [x, dy, gamma, beta] = [
        made(image, 20),
        made(image, 23),
        made([8], 21, 1),
        made([8], 22),
      ]
      const inputs = [x, gamma, beta, ...weights]
      const op = (h: Tensor, g: Tensor, b: Tensor, ...w: Tensor[]) => blocks(h, w, g, b).y
      assert.ok(await replaysAlike(gpu, op, inputs, dy))
      const { y, second } = blocks(x, weights, gamma, beta)
      const all = gpu.backward(y, dy)
      const read = async (t: Tensor | undefined) => [...(await gpu.read(given(t)))]
      const kept = gpu.step(() => {
        const again = blocks(x, weights, gamma, beta)
        const some = gpu.backward(again.y, dy, { of: [again.second, gamma] })
        return [some.of(again.second) ?? x, some.of(gamma) ?? x]
      })
      assert.equal(await read(kept[0]), await read(all.of(second)), 'of an output between')
      assert.equal(await read(kept[1]), await read(all.of(gamma)))
      results.push(await Promise.all([second, ...inputs].map((t) => read(all.of(t)))))
      gpu.destroy()
    }
    const [exact = [], rounded = []] = results
    for (const [i, gradient] of exact.entries()) {
      const error = Math.hypot(...gradient.map((v, k) => v - (rounded[i]?.[k] ?? NaN)))
      assert.ok(error < 2e-2 * Math.hypot(...gradient), `gradient ${i} is off by ${error}`)
    }
  },
)

test.run()
