import * as assert from 'uvu/assert'
import { lengthsOf, meanRows } from '../../../kernels/reduce/mean-rows.ts'
import { checkOp } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('meanRows')

test('is the mean of the first rows, and 0 of none', async ({ gpu }) => {
  for (const [lengths, L, D] of [
    [[3, 0, 5, 1], 5, 3],
    [[70, 2], 70, 33],
  ] as const) {
    const N = lengths.length
    const counts = gpu.tensor(Int32Array.from(lengths), [N])
    const reference = (x: number[]) =>
      lengths.flatMap((length, n) =>
        Array.from({ length: D }, (_, d) => {
          let sum = 0
          for (let l = 0; l < length; l++) sum += x[(n * L + l) * D + d] ?? NaN
          return length > 0 ? sum / length : 0
        }),
      )
    await checkOp(gpu, (x) => meanRows(x, counts), reference, [[N, L, D]])
  }
})

test('does not read what lies behind, and limits lengths', async ({ gpu }) => {
  const x = gpu.tensor([1, NaN, 2, 4], [2, 2, 1])
  const mean = async (lengths: number[]) => [
    ...(await gpu.read(meanRows(x, gpu.tensor(lengths, [2])))),
  ]
  assert.equal(await mean([1, 9]), [1, 3])
  assert.equal(await mean([-1, 1]), [0, 2])
  assert.equal(await mean([2, 2]), [NaN, 3])
})

test('lengthsOf counts to the last token that is not padding', async ({ gpu }) => {
  const tokens = [5, 0, 3, 0, 0, 0, 0, 0, 1, 1, 1, 1]
  for (const values of [Int32Array.from(tokens), Float32Array.from(tokens)])
    assert.equal([...(await gpu.read(lengthsOf(gpu.tensor(values, [3, 4]))))], [3, 0, 4])
  const x = gpu.tensor(tokens, [12])
  refuses(() => lengthsOf(x), 'lengthsOf: tokens must be [N, L], got [12]')
  refuses(() => meanRows(x, x), 'meanRows: x must be [N, L, D] and lengths [N], got [12] and [12]')
})

test.run()
