// How papers train a linear classifier on a frozen encoder: by SGD or LARS, over epochs of images
// that are only cropped and flipped. Cross entropy of the features as the encoder makes them.

import type { Variable } from '../kernels/op.ts'
import { linear } from '../kernels/matmul/linear.ts'
import { type FlatOptimizer, Lars, Sgd } from '../engine/optim/optimizer.ts'
import { type Schedule, cosine, multiStep } from '../engine/optim/schedule.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LayerBuilder } from '../models/layers.ts'
import type { Layer } from '../models/model.ts'

/** A paper's protocol of linear evaluation. */
export interface LinearProtocol {
  /** Where it is from, for a help text. */
  readonly source: string
  /** Times through the labelled images. */
  readonly epochs: number
  /** Images per step. */
  readonly batch: number
  /** The first learning rate of steps of so many images. */
  readonly rate: (batch: number) => number
  /** The learning rate at an epoch from 0 on, a fraction within one, from the first rate and the
   *  number of epochs. */
  readonly schedule: (rate: number, epochs: number) => Schedule
  readonly optimizer: (parameters: Readonly<Record<string, Variable>>) => FlatOptimizer
  /** Makes the layer of F features to C classes with its initial weights. */
  readonly head: (gpu: Gpu, sizes: readonly [F: number, C: number], seed: number) => LinearHead
}

/** A linear layer from features [N, F] to scores [N, C]: `weight` [C, F] and `bias` [C]. */
export interface LinearHead {
  readonly parameters: Readonly<Record<string, Variable>>
  readonly classify: Layer
}

const by256 = (rate: number) => (batch: number) => (rate * batch) / 256

/** A cosine that falls once an epoch, as PyTorch's training scripts do. */
const epochCosine = (rate: number, epochs: number): Schedule => {
  const falling = cosine(rate, epochs)
  return (epoch) => falling(Math.floor(epoch))
}

/** Makes a head whose weights are from N(0, 0.01²), as in all four papers' code. Its bias begins
 *  with zeros. */
const head: LinearProtocol['head'] = (gpu, [F, C], seed) => {
  const build = new LayerBuilder(gpu, seed)
  const weight = build.drawn('weight', [C, F], 0.01)
  const bias = build.parameter('bias', new Float32Array(C), [C])
  return { parameters: build.parameters, classify: (h) => linear(h, weight, bias) }
}

const momentum = (parameters: Readonly<Record<string, Variable>>) =>
  new Sgd(parameters, { momentum: 0.9 })

/** The protocols by name. None decays weights.
 *
 *  simclr   google-research/simclr: Nesterov momentum 0.9, rate 0.1 batch / 256, a cosine
 *  moco     facebookresearch/moco, main_lincls.py: SGD, rate 30, a tenth at 60 % and 80 %
 *  moco-v3  facebookresearch/moco-v3, main_lincls.py: SGD, rate 0.1 batch / 256, a cosine
 *  simsiam  facebookresearch/simsiam, main_lincls.py --lars: LARS, rate 0.1 batch / 256, a
 *  cosine */
export const linearProtocols = {
  simclr: {
    ...{ source: 'SimCLR: Nesterov SGD, rate 0.1 batch / 256, a cosine', epochs: 90, batch: 4096 },
    ...{ rate: by256(0.1), schedule: cosine, head },
    optimizer: (parameters) => new Sgd(parameters, { momentum: 0.9, nesterov: true }),
  },
  moco: {
    ...{ source: 'MoCo: SGD, rate 30, divided by 10 at 60 % and at 80 %', epochs: 100, batch: 256 },
    rate: () => 30,
    schedule: (rate, epochs) => multiStep(rate, [0.6 * epochs, 0.8 * epochs]),
    ...{ head, optimizer: momentum },
  },
  'moco-v3': {
    ...{ source: 'MoCo v3: SGD, rate 0.1 batch / 256, a cosine', epochs: 90, batch: 1024 },
    ...{ rate: by256(0.1), schedule: epochCosine, head, optimizer: momentum },
  },
  simsiam: {
    ...{ source: 'SimSiam: LARS, rate 0.1 batch / 256, a cosine', epochs: 90, batch: 4096 },
    ...{ rate: by256(0.1), schedule: epochCosine, head },
    optimizer: (parameters) => new Lars(parameters, { form: 'moco-v3', exclude: () => false }),
  },
} as const satisfies Readonly<Record<string, LinearProtocol>>

/** Name of a protocol of linear evaluation. */
export type LinearProtocolName = keyof typeof linearProtocols
