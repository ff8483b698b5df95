// ReLU's mask in bits: the gradient of a residual in f16 is y's where y is above 0, else 0.

import * as assert from 'uvu/assert'
import { batchNorm } from '../../../kernels/norm/batch-norm.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { grid, half } from '../../fixtures/halves.ts'

const test = gpuSuite('ReLU marks')

// Rows below, at and above the 16 of two words, a workgroup's 1,024 of four channels, and what
// makes a thread of the sums take more than 64; one row of channels in a workgroup, and less.
for (const kernels of ['device', 'gpu'] as const)
  test(`are the mask, for any number of rows and channels: ${kernels}`, async ({ gpu: host }) => {
    const gpu = new Gpu(host.device, { kernels, activations: 'f16' })
    for (const [M, C] of [
      [2, 4],
      [15, 8],
      [16, 64],
      [17, 256],
      [33, 260],
      [1023, 4],
      [1030, 4],
      [2200, 60],
      [300, 512],
    ] as const) {
      const x = gpu.tensor(grid([M, C], 1), [M, C])
      const residual = gpu.tensor(grid([M, C], 2), [M, C])
      const gamma = gpu.tensor(grid([C], 3), [C])
      const beta = gpu.tensor(grid([C], 4), [C])
      const y = batchNorm(half(x), gamma, beta, null, {
        ...{ training: true, relu: true, residual: half(residual) },
      })
      const cotangent = grid([M, C], 99).map((v) => v || 1)
      const gradients = gpu.backward(y, gpu.tensor(cotangent, [M, C]))
      const [got, passed] = [await gpu.read(gradients.of(residual) ?? x), await gpu.read(y)]
      const wrong = cotangent.filter((v, i) => got[i] !== ((passed[i] ?? NaN) > 0 ? v : 0))
      assert.is(wrong.length, 0, `${M} rows of ${C}: ${wrong.length} of ${M * C}`)
      assert.ok(passed.some((v) => v > 0) && passed.includes(0))
    }
    gpu.destroy()
  })

test.run()
