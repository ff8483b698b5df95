// A residual network of 1-d convolutions for signals and time series: x [N, L, C] -> features h
// [N, F]. It is a ResNet whose windows have one row, such as Wang et al. 2017
// (https://arxiv.org/abs/1611.06455) and the ECG networks after it use.

import { ShapeError, show } from '../kernels/op.ts'
import { globalAvgPool } from '../kernels/pool/global-avg-pool.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { type Rules, checkOptions, count, counts, flag, needed, rule } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LayerBuilder } from './layers.ts'
import { type Model, checkGpu, checkedForward, printedModel } from './model.ts'
import { basic, stagesOf } from './residual-blocks.ts'

/** Options of `signalEncoder`. */
export interface SignalOptions {
  /** C, the channels of the signals. */
  readonly channels: number
  /** Channels of the first stage; each later stage has twice as many. 64 by default. */
  readonly width?: number
  /** Blocks of each stage; [2, 2, 2, 2] by default. Each stage but the first halves the length. */
  readonly depths?: readonly number[]
  /** Samples of the first window, an odd number; 7 by default. */
  readonly window?: number
  /** Samples between the first windows; 2 by default. */
  readonly stride?: number
  /** True starts each residual branch's last norm at scale 0; false by default. */
  readonly zeroInitResidual?: boolean
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

const odd = rule('an odd whole number', (v) => count.fits(v) && Number(v) % 2 === 1)

const rules: Rules<SignalOptions> = {
  ...{ channels: needed(count), width: count, depths: counts, window: odd, stride: count },
  ...{ zeroInitResidual: flag, seed: seedRule },
}

/** Makes a network for signals: x [N, L, C] -> features [N, F], of any length L. It is ResNet-18 by
 *  default, with windows of one row, and named like it: weights are [1, k, C, K], and [K, C, 1, k]
 *  in checkpoints. Throws TypeError for wrong options. */
export function signalEncoder(gpu: Gpu, options: SignalOptions): Model {
  checkGpu('signalEncoder', gpu)
  const checked = checkOptions('signalEncoder', options ?? ({} as SignalOptions), rules) // throws where missing
  const { channels, width = 64, depths = [2, 2, 2, 2], window = 7, stride = 2 } = checked
  const { zeroInitResidual: zero = false, seed = 0 } = checked
  const build = new LayerBuilder(gpu, seed)
  const steps = { size: [1, window], stride: [1, stride] } as const
  const first = build.convNorm(['conv1', 'bn1'], [channels, width], steps)
  const { layers, channels: F } = stagesOf(build, {
    ...{ block: basic, depths, width, zero, line: true },
  })
  return printedModel('signalEncoder', {
    parameters: build.parameters,
    norms: build.norms,
    features: F,
    forward: checkedForward('signalEncoder', (x, mode) => {
      const [N = 0, L = 0, C] = x.shape
      if (x.shape.length !== 3 || C !== channels)
        throw new ShapeError(`signalEncoder: x must be [N, L, ${channels}], got ${show(x.shape)}`)
      const h = first(reshape(x, [N, 1, L, channels]), mode, { relu: true })
      return globalAvgPool(layers.reduce((y, layer) => layer(y, mode), h))
    }),
  })
}
