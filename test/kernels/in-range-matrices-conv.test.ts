// The indices of convolutions' kernels for f16 on subgroup matrices (in-range.test.ts).

import { casesOf, checkCases } from '../fixtures/in-range.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('indices of convolutions on subgroup matrices'))
const onF16 = needing('shader-f16', test, full)

const form = { kernels: 'matrices', precision: 'f16', activations: 'f16' } as const

onF16('lie within their arrays in convolutions', async ({ gpu }) => {
  await checkCases(gpu.device, form, casesOf(['conv2d', 'convNorm']))
})

test.run()
