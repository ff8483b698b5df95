import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import { attention } from '../../../kernels/attention/attention.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const [test, full] = quickAndFull(gpuSuite('attention'))

type Size = readonly [N: number, Tq: number, Tk: number, H: number, D: number]
interface How {
  readonly scale?: number
  readonly causal?: boolean
  readonly lengths?: readonly number[]
}

/** softmax(scale q k^T) v of each head, in float64. */
const reference =
  ([N, Tq, Tk, H, D]: Size, { scale = 1 / Math.sqrt(D), causal = false, lengths }: How = {}) =>
  (q: number[], k: number[], v: number[]) => {
    const y: number[] = q.map(() => 0)
    const at = (n: number, t: number, T: number, h: number) => ((n * T + t) * H + h) * D
    for (let n = 0; n < N; n++)
      for (let h = 0; h < H; h++)
        for (let i = 0; i < Tq; i++) {
          const keys = Math.min(Tk, lengths?.[n] ?? Tk, causal ? i + 1 : Tk)
          const from = at(n, i, Tq, h)
          const scores = Array.from({ length: keys }, (_, j) => {
            let s = 0
            for (let d = 0; d < D; d++) s += (q[from + d] ?? NaN) * (k[at(n, j, Tk, h) + d] ?? NaN)
            return scale * s
          })
          const top = Math.max(...scores)
          const weights = scores.map((s) => Math.exp(s - top))
          const total = weights.reduce((a, b) => a + b, 0)
          for (const [j, w] of weights.entries())
            for (let d = 0; d < D; d++)
              y[from + d] = (y[from + d] ?? 0) + (w / total) * (v[at(n, j, Tk, h) + d] ?? NaN)
        }
    return y
  }

const shapesOf = ([N, Tq, Tk, H, D]: Size): [Shape, Shape, Shape] => [
  [N, Tq, H, D],
  [N, Tk, H, D],
  [N, Tk, H, D],
]

/** Sizes below, at and above the tiles: 32 x 96 on a CPU adapter, 64 x 32 on a GPU. */
const cases: readonly (readonly [Size, How?])[] = [
  [[1, 1, 1, 1, 1]],
  [[2, 5, 7, 3, 4], { scale: 2 }],
  [[1, 33, 97, 1, 6]],
  [[1, 65, 65, 2, 8], { causal: true }],
  [[3, 34, 40, 1, 12], { lengths: [40, 0, 17] }],
  [[2, 70, 33, 1, 8], { causal: true, lengths: [33, 9] }],
]

/** Heads of more features: a workgroup of a GPU has sums of 32, 64 or 128. */
const wide: readonly (readonly [Size, How?])[] = [
  [[1, 40, 3, 1, 132], { scale: 0.3 }],
  [[1, 65, 33, 2, 64], { causal: true }],
  [[1, 3, 40, 2, 65]],
  [[1, 66, 34, 1, 35]],
]

async function agree(gpu: Gpu, sizes: readonly (readonly [Size, How?])[]) {
  for (const [size, how = {}] of sizes) {
    const shapes = shapesOf(size)
    const values = shapes.map((shape, i) =>
      random(sizeOf(shape), i + 1).map((x) => Math.fround(2 * x)),
    )
    const lengths = how.lengths ? gpu.tensor(Int32Array.from(how.lengths)) : null
    const op = (...[q, k, v]: Tensor[]) =>
      attention(q as Tensor, k as Tensor, v as Tensor, { ...how, lengths }) // one per shape
    await checkOp(gpu, op, reference(size, how), shapes, { values })
  }
}

test('attention is softmax(scale q k^T) v', ({ gpu }) => agree(gpu, [...cases, ...wide]))

test('attention by the kernels of a GPU', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { kernels: 'gpu' })
  await agree(
    gpu,
    cases.filter(([[, , , , D]]) => D % 4 === 0),
  )
  gpu.destroy()
})

full('attention by the kernels of a GPU, heads of every width', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { kernels: 'gpu' })
  await agree(gpu, [...cases, ...wide])
  gpu.destroy()
})

test('4,097 tokens take memory of their number', async ({ gpu }) => {
  const [T, D] = [4097, 4]
  const size: Size = [1, T, T, 1, D]
  const values = [1, 2, 3].map((seed) => random(T * D, seed))
  const [q, k, v] = values.map((x) => gpu.tensor(x, [1, T, 1, D])) as [Tensor, Tensor, Tensor]
  const dy = gpu.tensor(random(T * D, 4), [1, T, 1, D])
  const before = gpu.stats().bytes
  const y = attention(q, k, v)
  const gradients = gpu.backward(y, dy)
  assert.ok(gpu.stats().bytes - before < 12 * T * D * 4, `${gpu.stats().bytes - before} bytes`)
  const exact = reference(size)
  close(await gpu.read(y), exact(...(values as [number[], number[], number[]])), 1e-5, 'value')
  const cotangent = await gpu.read(dy)
  const direction = [5, 6, 7].map((seed) => random(T * D, seed))
  const along = (eps: number) => {
    const moved = values.map((x, i) => x.map((a, e) => a + eps * (direction[i]?.[e] ?? NaN)))
    const out = exact(...(moved as [number[], number[], number[]]))
    return out.reduce((sum, a, e) => sum + a * (cotangent[e] ?? NaN), 0)
  }
  let slope = 0
  for (const [i, x] of [q, k, v].entries()) {
    const gradient = gradients.of(x)
    assert.ok(gradient)
    const got = await gpu.read(gradient ?? x)
    slope += got.reduce((sum, g, e) => sum + g * (direction[i]?.[e] ?? NaN), 0)
  }
  close([slope], [(along(1e-4) - along(-1e-4)) / 2e-4], 1e-4, 'gradient')
})

test('scores of any size, on both kinds of adapter', async ({ gpu: host }) => {
  for (const gpu of [host, new Gpu(host.device, { kernels: 'gpu' })]) {
    const [q, k] = [
      gpu.tensor([200, -200, 1, 1], [1, 1, 1, 4]),
      gpu.tensor(random(12), [1, 3, 1, 4]),
    ]
    const v = gpu.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [1, 3, 1, 4])
    const exact = reference([1, 1, 3, 1, 4], { scale: 100 })
    const y = await gpu.read(attention(q, k, v, { scale: 100 }))
    close(y, exact([200, -200, 1, 1], random(12), await list(gpu, v)), 1e-4, 'value')
    const none = attention(q, k, v, { lengths: gpu.tensor(Int32Array.of(-3)) })
    assert.equal([...(await gpu.read(none))], [0, 0, 0, 0])
    if (gpu !== host) gpu.destroy()
  }
})

const list = async (gpu: Gpu, x: Tensor) => [...(await gpu.read(x))]

test('a NaN reaches what is computed from it', async ({ gpu: host }) => {
  const shape: Shape = [1, 3, 1, 4]
  const ones = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i))
  const spoilt = Float32Array.from(ones, (x, i) => (i === 9 ? NaN : x)) // of token 2
  for (const gpu of [host, new Gpu(host.device, { kernels: 'gpu' })]) {
    const [x, bad] = [gpu.tensor(ones, shape), gpu.tensor(spoilt, shape)]
    const nans = async (y: Tensor) =>
      (await list(gpu, y)).map((a) => (Number.isNaN(a) ? 1 : 0)).join('')
    assert.is(await nans(attention(bad, x, x)), '000000001111')
    assert.is(await nans(attention(x, bad, x)), '111111111111')
    assert.is(await nans(attention(x, x, bad)), '010001000100')
    const lengths = gpu.tensor(Int32Array.of(2))
    assert.is(await nans(attention(x, bad, bad, { lengths })), '000000000000')
    const gradients = gpu.backward(attention(x, x, x), bad)
    const total = gradients.of(x)
    assert.is(total && (await nans(total)), '111111111111')
    if (gpu !== host) gpu.destroy()
  }
})

test('shapes that do not fit are refused', ({ gpu }) => {
  const of = (...shape: number[]) => gpu.tensor(new Float32Array(sizeOf(shape)), shape)
  const x = of(2, 3, 1, 4)
  refuses(
    () => attention(of(2, 3, 4), x, x),
    'attention: q, k and v must be [N, T, heads, D], got q [2, 3, 4], k [2, 3, 1, 4] and v [2, 3, 1, 4]',
  )
  refuses(
    () => attention(x, x, of(2, 3, 1, 5)),
    'attention: k and v must have one shape, got q [2, 3, 1, 4], k [2, 3, 1, 4] and v [2, 3, 1, 5]',
  )
  refuses(
    () => attention(x, of(2, 3, 2, 4), of(2, 3, 2, 4)),
    'attention: q and k may differ in their number of tokens alone, got q [2, 3, 1, 4], k [2, 3, 2, 4] and v [2, 3, 2, 4]',
  )
  refuses(
    () => attention(x, of(2, 0, 1, 4), of(2, 0, 1, 4)),
    'attention: needs at least one token, head and feature, got q [2, 3, 1, 4], k [2, 0, 1, 4] and v [2, 0, 1, 4]',
  )
  refuses(
    () => attention(x, x, x, { lengths: gpu.tensor(Int32Array.of(3)) }),
    'attention: lengths must have one number per sample, got [1] for q [2, 3, 1, 4]',
  )
  refuses(
    () => attention(x, x, x, { lengths: gpu.tensor([3, 3], [2]) }),
    'attention: lengths must be i32, got f32 [2]',
  )
})

test.run()
