// Tests both ways in which threads share numbers in products and convolutions
// (kernels/wgsl/broadcast-load.ts), and both ways in which batch norm merges sums. A machine uses
// one of each; here both run on it.

import * as assert from 'uvu/assert'
import { batchNormBackward } from '../../../kernels/norm/batch-norm-backward.ts'
import { batchStats } from '../../../kernels/norm/batch-stats.ts'
import { convWeightGradient } from '../../../kernels/conv/weight-gradient.ts'
import { convForward, convDataGradient } from '../../../kernels/conv/forward.ts'
import { gemm } from '../../../kernels/matmul/gemm.ts'
import { type Run, type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { runWith } from '../../fixtures/run-with.ts'
import { cpuForms } from '../../../kernels/devices/cpu-forms.ts'
import type { Forms } from '../../../kernels/form.ts'

const test = gpuSuite('lanes')

/** The machine's `run`, telling kernels that it is a CPU adapter, with these kernels of its own. */
const as = (gpu: Gpu, forms: Forms) => runWith(gpu, { software: true, forms })

const filled = (gpu: Gpu, shape: Shape, seed: number) =>
  gpu.tensor(random(sizeOf(shape), seed), shape)

async function compare(gpu: Gpu, compute: (run: Run) => Tensor, what: string) {
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo as { subgroupMinSize?: number } // newer than the types
  const loaded = await gpu.read(compute(as(gpu, new Map())))
  assert.ok(loaded.some((v) => v !== 0))
  if (gpu.device.features.has('subgroups') && subgroupMinSize >= 8)
    close(await gpu.read(compute(as(gpu, cpuForms))), loaded, 1e-5, what)
}

for (const [x, w, stride, padding] of [
  [[2, 8, 8, 5], [3, 3, 5, 11], 1, 1],
  [[3, 9, 7, 3], [3, 2, 3, 8], 2, 1],
  [[1, 20, 20, 2], [1, 1, 2, 17], 1, 0],
  [[2, 6, 8, 16], [3, 3, 16, 32], 1, 1],
  [[3, 9, 7, 16], [3, 3, 16, 16], 2, 1],
  [[1, 5, 4, 4], [5, 3, 4, 16], 1, 2],
  [[1, 9, 4, 32], [1, 1, 32, 16], 2, 0],
] as const)
  test(`a convolution of [${x.join(', ')}] is the same in either way`, async ({ gpu }) => {
    const steps = { stride: [stride, stride], padding: [padding, padding] } as const
    const side = (i: 1 | 2, k: 0 | 1) => Math.floor((x[i] + 2 * padding - w[k]) / stride) + 1
    const out = [x[0], side(1, 0), side(2, 1), w[3]]
    const [image, weight, dy] = [filled(gpu, x, 1), filled(gpu, w, 2), filled(gpu, out, 3)]
    await compare(gpu, (run) => convForward(run, image, weight, out, steps), 'y')
    await compare(gpu, (run) => convDataGradient(run, dy, weight, image, steps), 'dx')
    await compare(gpu, (run) => convWeightGradient(run, image, dy, w, steps), 'dw')
  })

test('a matrix product is the same in either way', async ({ gpu }) => {
  const [a, b, bias] = [filled(gpu, [70, 9], 1), filled(gpu, [13, 9], 2), filled(gpu, [13], 3)]
  await compare(gpu, (run) => gemm(run, a, b, { transB: true, bias }), 'a b^T + bias')
  await compare(gpu, (run) => gemm(run, b, a, { transB: true }), 'b a^T')
  await compare(gpu, (run) => gemm(run, a, a, { transA: true }), 'a^T a')
})

test('batch norm, which merges sums in one thread or in 64, is the same in either way', async ({
  gpu,
}) => {
  const [x, dy, c] = [filled(gpu, [700, 8], 1), filled(gpu, [700, 8], 2), filled(gpu, [8], 3)]
  const settings = { splits: 1, inTurn: false, eps: 1e-5, momentum: 0.1 }
  await compare(gpu, (run) => batchStats(run, x, null, settings), 'stats')
  const stats = batchStats(gpu.run, x, null, settings)
  const wanted = {
    training: true,
    rectified: false,
    splits: 1,
    inTurn: false,
    residual: false,
    dx: true,
    sums: true,
  }
  const gradients = (run: Run) =>
    batchNormBackward(run, [dy, null], { x, gamma: c, beta: c, y: x, stats }, wanted)
  await compare(gpu, (run) => gradients(run).dGamma, 'dgamma')
  await compare(gpu, (run) => gradients(run).dBeta, 'dbeta')
})

test.run()
