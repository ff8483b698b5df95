// Projection heads: features h [N, F] -> projections z [N, D]. Only training uses them.

import { checkOptions, count, needed, oneOf } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LayerBuilder } from './layers.ts'
import { type Model, checkGpu, checkedForward, printedModel } from './model.ts'

/** Options of `projectionHead`. */
export interface HeadOptions {
  /** F, the size of the features. */
  readonly features: number
  /** Size of the hidden layer; by default 512 with 'leftthomas', F with 'paper'. */
  readonly hidden?: number
  /** D, the size of the projections; 128 by default. */
  readonly dim?: number
  /** 'leftthomas', the default (https://github.com/leftthomas/SimCLR): Linear without bias, BN,
   *  ReLU, Linear. 'paper' (SimCLR, as google-research/simclr builds it): Linear without bias, BN,
   *  ReLU, Linear without bias, BN without shift, weights from N(0, 0.01²). */
  readonly style?: 'leftthomas' | 'paper'
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

const rules = {
  ...{
    features: needed(count),
    hidden: count,
    dim: count,
    style: oneOf('leftthomas', 'paper'),
    seed: seedRule,
  },
}

/** Makes the two-layer head of SimCLR (https://arxiv.org/abs/2002.05709, section 2.1): features
 *  [N, F] -> projections [N, D], not normalised. Throws TypeError for wrong options. */
export function projectionHead(gpu: Gpu, options: HeadOptions): Model {
  checkGpu('projectionHead', gpu)
  const checked = checkOptions('projectionHead', options ?? {}, rules)
  const { features, dim = 128, style = 'leftthomas', seed = 0 } = checked
  const { hidden = style === 'leftthomas' ? 512 : features } = checked
  const build = new LayerBuilder(gpu, seed)
  const paper = style === 'paper'
  const std = paper ? 0.01 : 0
  const first = build.linear('projection.0', [features, hidden], { bias: false, std })
  const norm = build.norm('projection.1', hidden)
  const second = build.linear('projection.3', [hidden, dim], { bias: !paper, std })
  const last = paper ? build.norm('projection.4', dim, { shift: false }) : null
  return printedModel('projectionHead', {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('projectionHead', (h, mode) => {
      const z = second(norm(first(h, mode), mode, { relu: true }), mode)
      return last ? last(z, mode) : z
    }),
  })
}
