// The indices of a GPU's kernels of the other ops (in-range.test.ts), from which in-range-*.test.ts
// take those that compile for minutes.

import { CASES } from '../fixtures/bench-ops.ts'
import { checkCases, heavy, onGpu } from '../fixtures/in-range.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const [test, full] = quickAndFull(gpuSuite('indices of the other ops'))

full('lie within their arrays in the kernels of a GPU', async ({ gpu }) => {
  const others: readonly string[] = Object.values(heavy).flat()
  const cases = CASES.filter(({ op }) => !others.includes(op))
  await checkCases(gpu.device, onGpu, cases)
})

test.run()
