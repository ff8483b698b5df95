import * as assert from 'uvu/assert'
import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { topK } from '../../../kernels/reduce/top-k.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('topK')

/** Indices of each row's k largest numbers, by sorting. */
function sorted(x: readonly number[], R: number, k: number): number[] {
  return Array.from({ length: x.length / R }, (_, row) => {
    const at = (r: number) => x[row * R + r] ?? NaN
    return Array.from({ length: R }, (__, r) => r)
      .sort((a, b) => at(b) - at(a) || a - b)
      .slice(0, k)
  }).flat()
}

for (const kernels of ['device', 'gpu'] as const)
  test(`agrees with sorting: ${kernels}`, async ({ gpu: host }) => {
    const gpu = kernels === 'device' ? host : new Gpu(host.device, { kernels })
    const cases: [Shape, number][] = [
      [[1], 1],
      [[3, 10], 4],
      [[2, 3, 64], 64],
      [[5, 65], 3],
      [[70, 7], 7],
      [[2, 1100], 5],
    ]
    for (const [shape, k] of cases) {
      const R = shape.at(-1) ?? NaN
      const reference = (x: number[]) => {
        const indices = sorted(x, R, k)
        return indices.map((r, i) => x[Math.floor(i / k) * R + r] ?? NaN)
      }
      await checkOp(gpu, (x) => topK(x, k).values, reference, [shape])
      const x = random(sizeOf(shape)).map((v) => Math.round(v * 9)) // with ties
      const { values, indices } = topK(gpu.tensor(x, shape), k)
      assert.is(indices.dtype, 'i32')
      assert.equal(indices.shape, [...shape.slice(0, -1), k])
      assert.equal([...(await gpu.read(indices))], sorted(x, R, k))
      assert.equal(
        Array.from(await gpu.read(values), (v) => v + 0),
        reference(x).map((v) => v + 0),
      )
    }
    if (gpu !== host) gpu.destroy()
  })

test('NaN comes first, infinities and zeros are in order, the gradient goes to what is taken', async ({
  gpu,
}) => {
  const x = gpu.tensor([0, -Infinity, NaN, -0, Infinity, -1, NaN, 1e-45], [1, 8])
  const { values, indices } = topK(x, 8)
  assert.equal([...(await gpu.read(indices))].slice(0, 4), [2, 6, 4, 7])
  assert.equal([...(await gpu.read(indices))].slice(4), [0, 3, 5, 1])
  assert.equal([...(await gpu.read(values))].slice(0, 3), [NaN, NaN, Infinity])
  const three = topK(x, 3).values
  const dx = await gradientAt(gpu, three, x, gpu.tensor([1, 2, 3], [1, 3]))
  assert.equal([...dx], [0, 0, 1, 0, 3, 0, 2, 0])
})

test('what does not fit is refused', ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4, 5, 6], [2, 3])
  refuses(() => topK(x, 4), 'topK: the last axis of [2, 3] has no 4 elements')
  refuses(() => topK(gpu.tensor(1), 1), 'topK: the last axis of [] has no 1 elements')
})

test.run()
