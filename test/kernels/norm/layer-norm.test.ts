import * as assert from 'uvu/assert'
import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { groupNorm } from '../../../kernels/norm/group-norm.ts'
import { layerNorm } from '../../../kernels/norm/layer-norm.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('layerNorm and groupNorm')

/** The norm of x [N, P, C] in G groups of channels. */
const normalized =
  ([N, P, C]: readonly [number, number, number], G: number, eps: number) =>
  (x: number[], gamma: number[], beta: number[]) => {
    const y = x.slice()
    const K = C / G
    for (let n = 0; n < N; n++)
      for (let g = 0; g < G; g++) {
        const places = Array.from(
          { length: P * K },
          (_, r) => (n * P + Math.floor(r / K)) * C + g * K + (r % K),
        )
        const own = places.map((e) => x[e] ?? NaN)
        const mean = own.reduce((a, b) => a + b, 0) / own.length
        const variance = own.reduce((a, b) => a + (b - mean) ** 2, 0) / own.length
        for (const e of places) {
          const unit = ((x[e] ?? NaN) - mean) / Math.sqrt(variance + eps)
          y[e] = unit * (gamma[e % C] ?? NaN) + (beta[e % C] ?? NaN)
        }
      }
    return y
  }

const rows: Shape[] = [[1, 2], [3, 1], [2, 3, 5], [40, 64], [2, 65], [1, 7], [3, 1030], [9]]

test('layerNorm of short and long rows, on both kinds of adapter', async ({ gpu: host }) => {
  for (const gpu of [host, new Gpu(host.device, { kernels: 'gpu' })]) {
    for (const shape of rows) {
      const C = shape.at(-1) ?? NaN
      const reference = normalized([sizeOf(shape) / C, 1, C], 1, 1e-5)
      const op = layerNorm
      await checkOp(gpu, (x, gamma, beta) => op(x, gamma, beta), reference, [shape, [C], [C]])
    }
    const given = normalized([5, 1, 6], 1, 0.1)
    await checkOp(gpu, (x, g, b) => layerNorm(x, g, b, { eps: 0.1 }), given, [[5, 6], [6], [6]])
    if (gpu !== host) gpu.destroy()
  }
})

test('groupNorm of one position to many, on both kinds of adapter', async ({ gpu: host }) => {
  for (const gpu of [host, new Gpu(host.device, { kernels: 'gpu' })]) {
    for (const [shape, G] of [
      [[2, 3, 3, 6], 3],
      [[2, 3, 3, 16], 2],
      [[3, 8], 2],
      [[2, 5, 4], 4],
      [[2, 5, 4], 1],
      [[1, 33, 32, 2], 1],
    ] as const) {
      const [N, C] = [shape[0], shape.at(-1) ?? NaN]
      const reference = normalized([N, sizeOf(shape) / N / C, C], G, 1e-5)
      const op = groupNorm
      await checkOp(gpu, (x, gamma, beta) => op(x, G, gamma, beta), reference, [shape, [C], [C]])
    }
    if (gpu !== host) gpu.destroy()
  }
})

test('a large mean costs no digits of the result', async ({ gpu }) => {
  const x = random(64).map((v) => Math.fround(1000 + v))
  const [gamma, beta] = [gpu.tensor([1, 1, 1, 1], [4]), gpu.tensor([0, 0, 0, 0], [4])]
  const y = await gpu.read(layerNorm(gpu.tensor(x, [16, 4]), gamma, beta))
  close(y, normalized([16, 1, 4], 1, 1e-5)(x, [1, 1, 1, 1], [0, 0, 0, 0]), 1e-3, 'value')
})

test('gradients of frozen inputs are not computed, the others are the same', async ({ gpu }) => {
  const [x, gamma, beta] = [
    gpu.tensor(random(35), [5, 7]),
    gpu.variable(random(7, 2), [7]),
    gpu.variable(random(7, 3), [7]),
  ]
  const y = () => layerNorm(x, gamma, beta)
  const cotangent = gpu.tensor(random(35, 4), [5, 7])
  const all = gpu.backward(y(), cotangent)
  for (const one of [x, gamma, beta]) {
    const alone = gpu.backward(y(), cotangent, { of: [one] }).of(one)
    const wanted = all.of(one)
    assert.ok(alone && wanted)
    if (alone && wanted) assert.equal(await gpu.read(alone), await gpu.read(wanted))
  }
})

test('many rows add up to the gradients of gamma and beta', async ({ gpu }) => {
  const N = 5000
  const x = Float32Array.from({ length: 2 * N }, (_, i) => (i % 2 ? 1 : -1))
  const [gamma, beta] = [gpu.tensor([1, 1], [2]), gpu.tensor([0, 0], [2])]
  const y = layerNorm(gpu.tensor(x, [N, 2]), gamma, beta, { eps: 0 })
  close(await gradientAt(gpu, y, gamma), [-N, N], 1e-6, 'gamma')
  close(await gradientAt(gpu, y, beta), [N, N], 1e-6, 'beta')
})

test('shapes that do not fit are refused', ({ gpu }) => {
  const of = (...shape: number[]) => gpu.tensor(new Float32Array(sizeOf(shape)), shape)
  refuses(
    () => layerNorm(of(2, 3), of(2), of(3)),
    'layerNorm: gamma must have one value per channel, got [2] for x [2, 3]',
  )
  refuses(
    () => layerNorm(of(2, 3), of(3), of(1, 3)),
    'layerNorm: beta must have one value per channel, got [1, 3] for x [2, 3]',
  )
  refuses(
    () => layerNorm(of(), of(1), of(1)),
    'layerNorm: x must have a last axis [..., C], got []',
  )
  refuses(
    () => groupNorm(of(2, 3, 6), 4, of(6), of(6)),
    'groupNorm: groups must divide the channels of x [2, 3, 6], got 4',
  )
  refuses(
    () => groupNorm(of(6), 2, of(6), of(6)),
    'groupNorm: x must have samples and channels [N, ..., C], got [6]',
  )
})

test.run()
