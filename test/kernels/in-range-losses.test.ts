// The indices of a GPU's kernels of contrastive losses (in-range.test.ts), which compile for
// minutes.

import { casesOf, checkCases, heavy, onGpu } from '../fixtures/in-range.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const [test, full] = quickAndFull(gpuSuite('indices of contrastive losses'))

full('lie within their arrays in the kernels of a GPU', async ({ gpu }) => {
  await checkCases(gpu.device, onGpu, casesOf(heavy.losses))
})

test.run()
