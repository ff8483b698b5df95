// PyTorch's ResNets in precisions f16 and f16x3, by a GPU's kernels without tensor cores, forced on
// whatever there is.

import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { type Bound, Golden } from '../fixtures/golden.ts'
import { resnetGolden } from '../fixtures/golden-simclr.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('golden ResNets in f16'))
const onF16 = needing('shader-f16', test, full)

// Outputs and statistics keep to 1e-2, as with PyTorch's AMP. One unit in a thousand per layer
// falls on ReLU's other side, which changes a gradient by 4e-2 each, and by 0.2 behind 17 layers.
// Those of resnet50_w4_16px are not compared: they are so sensitive that the case allows float32
// itself 0.07.
const inF16 =
  (deep: boolean) =>
  ({ exact }: Bound, name: string): Bound => {
    if (exact) return { exact }
    if (!name.startsWith('grad.')) return { rel_l2: 1e-2 }
    return deep ? {} : { rel_l2: 0.2 }
  }

for (const name of ['resnet18_w6_32px', 'resnet50_w4_16px'])
  for (const [precision, activations] of [
    ['f16', 'f32'],
    ['f16', 'f16'],
    ['f16x3', 'f32'],
  ] as const)
    onF16(`${name} in ${precision}, images in ${activations}`, async ({ gpu: host }) => {
      const gpu = new Gpu(host.device, { precision, activations, kernels: 'gpu' })
      try {
        const judge = precision === 'f16' ? [inF16(name.startsWith('resnet50'))] : [] // f16x3 is f32 here
        await resnetGolden(gpu, new Golden(name, ...judge))
      } finally {
        gpu.destroy()
      }
    })

test.run()
