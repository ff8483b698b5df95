// The indices of the kernels for f16 on subgroup matrices (in-range.test.ts).

import { casesOf, checkCases } from '../fixtures/in-range.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('indices of kernels on subgroup matrices'))
const onF16 = needing('shader-f16', test, full)

const form = { kernels: 'matrices', precision: 'f16', activations: 'f16' } as const

onF16('lie within their arrays in products and losses', async ({ gpu }) => {
  const products = ['matmul', 'ntXent', 'infoNce', 'nceMaps', 'sigLip']
  await checkCases(gpu.device, form, casesOf(products))
})

test.run()
