// PyTorch's numbers in precision f16x3, within the tolerances of f32: by a GPU's kernels, forced on
// whatever there is. With tensor cores, emulated, factors keep 22 of f32's 24 bits, off by 3 x
// 2^-22 in a product, a tenth of what the cases allow of ops; without them f16x3 is f32.

import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import type { Kernels } from '../../engine/node-gpu.ts'
import { Golden } from '../fixtures/golden.ts'
import { linearGolden, matmulGolden, ntXentGolden } from '../fixtures/golden-products.ts'
import { followsGolden } from '../fixtures/golden-training.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('golden cases in f16x3'))
const onF16 = needing('shader-f16', test, full)

/** A suite's device, computing in f16x3 as a GPU with emulated tensor cores does, or as one
 *  without. */
async function inF16x3(host: Gpu, kernels: Kernels, body: (gpu: Gpu) => Promise<void>) {
  const gpu = new Gpu(host.device, { precision: 'f16x3', kernels })
  try {
    assert.is(gpu.run.matrices, kernels === 'matrices')
    await body(gpu)
    await gpu.sync()
  } finally {
    gpu.destroy()
  }
}

const products = {
  matmul_nn: matmulGolden,
  linear_384_96: linearGolden,
  'ntxent_B33_D20_t0.05': ntXentGolden,
} as const
for (const [name, matches] of Object.entries(products))
  onF16(`${name}: on tensor cores as exact as f32`, ({ gpu }) =>
    inF16x3(gpu, 'matrices', (split) => matches(split, new Golden(name))),
  )

onF16(
  'train_tiny_sgd_nobn_20: followed for 20 steps without tensor cores, the loss scaled',
  ({ gpu }) =>
    inF16x3(gpu, 'gpu', (split) =>
      followsGolden(split, new Golden('train_tiny_sgd_nobn_20'), { scaler: new LossScaler(split) }),
    ),
)

test.run()
