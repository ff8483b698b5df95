// PyTorch's training trajectories in precision f16, the loss scaled, by a GPU's kernels, forced on
// whatever there is; and with activations in f16.

import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { type Bound, Golden } from '../fixtures/golden.ts'
import { followsGolden } from '../fixtures/golden-training.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('golden training in f16'))
const onF16 = needing('shader-f16', test, full)

/** How far a weight moved from its beginning, as a part of its norm. */
function moved(golden: Golden, name: string): number {
  const [end, begin] = [
    golden.values(name),
    golden.values(name.replace(/^after\.(step0\.)?/, 'w.')),
  ]
  return Math.hypot(...end.map((v, i) => v - (begin[i] ?? NaN))) / Math.hypot(...end)
}

// Losses keep to 1e-2 of themselves, as with PyTorch's AMP. A unit whose input lies within its
// error of 0, about 2^-10 of its spread and so one unit in a thousand, may fall on ReLU's other
// side, which changes a gradient by the root of that share, 3e-2 per layer that it came through:
// 0.1 behind the four there are. By SGD weights are off by that part of what they moved. Adam's
// step is as long as the learning rate whatever the gradient, so that it may turn round where the
// gradient is as small as its error.
const judge = (golden: Golden) => {
  const [lr, steps] = [Number(golden.config['lr']), Number(golden.config['steps'])]
  const adam = golden.config['optimizer'] === 'adam'
  return ({ exact }: Bound, name: string): Bound => {
    if (exact) return { exact }
    if (name === 'out.losses') return { elem_rel: 1e-2 }
    if (name.startsWith('grad.')) return { rel_l2: 0.1 }
    if (/running/.test(name)) return { rel_l2: 2e-2 }
    if (adam) return { max_abs: name.startsWith('after.step0.') ? 2 * lr : 0.5 * lr * steps }
    return { rel_l2: 0.1 * moved(golden, name) }
  }
}

for (const name of ['train_tiny_adam_20', 'train_tiny_sgd_nobn_20']) {
  const follows = async (gpu: Gpu, scaler: { readonly scaler?: LossScaler }) => {
    try {
      await followsGolden(gpu, new Golden(name, judge(new Golden(name))), scaler)
    } finally {
      gpu.destroy()
    }
  }
  onF16(`${name}: followed for 20 steps as closely as AMP would`, async ({ gpu: host }) => {
    const gpu = new Gpu(host.device, { precision: 'f16', kernels: 'matrices' })
    await follows(gpu, { scaler: new LossScaler(gpu, { scale: 1024 }) })
  })
  test(`${name}: followed with activations in f16`, ({ gpu: host }) =>
    follows(new Gpu(host.device, { activations: 'f16' }), {}))
  onF16(`${name}: followed in f16, activations too`, async ({ gpu: host }) => {
    const options = { precision: 'f16', activations: 'f16', kernels: 'gpu' } as const
    const gpu = new Gpu(host.device, options)
    await follows(gpu, { scaler: new LossScaler(gpu, { scale: 1024 }) })
  })
}

test.run()
