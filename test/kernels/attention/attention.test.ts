import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import { attention } from '../../../kernels/attention/attention.ts'
import { Gpu } from '../../../engine/gpu.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('attention')

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

const cases: readonly (readonly [Size, How?])[] = [
  [[1, 1, 1, 1, 1]],
  [[2, 5, 7, 3, 4], { scale: 2 }],
  [[1, 33, 97, 1, 6]],
  [[1, 65, 65, 2, 16], { causal: true }],
  [[3, 34, 40, 1, 36], { lengths: [40, 0, 17] }],
  [[2, 70, 33, 1, 8], { causal: true, lengths: [33, 9] }],
  [[1, 3, 40, 2, 65]],
  [[1, 40, 3, 1, 132], { scale: 0.3 }],
]

for (const kernels of ['device', 'gpu'] as const)
  test(`attention in float64, kernels of a ${kernels}`, async ({ gpu: host }) => {
    const gpu = kernels === 'gpu' ? new Gpu(host.device, { kernels }) : host
    for (const [size, how = {}] of cases) {
      const values = shapesOf(size).map((shape, i) =>
        random(sizeOf(shape), i + 1).map((x) => Math.fround(2 * x)),
      )
      const lengths = how.lengths ? gpu.tensor(Int32Array.from(how.lengths)) : null
      const op = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { ...how, lengths })
      await checkOp(gpu, op as (...x: Tensor[]) => Tensor, reference(size, how), shapesOf(size), {
        values,
      })
    }
    if (gpu !== host) gpu.destroy()
  })

test.run()
