// Projection heads: features h [N, F] -> projections z [N, D]. Thrown away after training.

import { checkOptions, count, needed, oneOf, whole } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder, type Model, checkGpu, checkedForward } from './layers.ts'

export interface HeadOptions {
  /** Size of the features that come in. */
  readonly features: number
  /** Size of the hidden layer: 512 in leftthomas' style, the size of the features in the
   *  paper's. */
  readonly hidden?: number
  /** Size of the projections. */
  readonly dim?: number
  /** 'leftthomas' (https://github.com/leftthomas/SimCLR): Linear without bias, BN, ReLU, Linear.
   *  'paper' (SimCLR, as google-research/simclr builds it): Linear without bias, BN, ReLU, Linear
   *  without bias, BN without shift, weights from N(0, 0.01²). */
  readonly style?: 'leftthomas' | 'paper'
  readonly seed?: number
}

const rules = {
  ...{
    features: needed(count),
    hidden: count,
    dim: count,
    style: oneOf('leftthomas', 'paper'),
    seed: whole,
  },
}

/** The two-layer head of SimCLR (https://arxiv.org/abs/2002.05709, section 2.1), in one of two
 *  styles. */
export function projectionHead(gpu: Gpu, options: HeadOptions): Model {
  checkGpu('projectionHead', gpu)
  const checked = checkOptions('projectionHead', options ?? {}, rules)
  const { features, dim = 128, style = 'leftthomas', seed = 0 } = checked
  const { hidden = style === 'leftthomas' ? 512 : features } = checked
  const build = new Builder(gpu, seed)
  const paper = style === 'paper'
  const std = paper ? 0.01 : 0
  const first = build.linear('projection.0', [features, hidden], { bias: false, std })
  const norm = build.norm('projection.1', hidden)
  const second = build.linear('projection.3', [hidden, dim], { bias: !paper, std })
  const last = paper ? build.norm('projection.4', dim, { shift: false }) : null
  return {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('projectionHead', (h, mode) => {
      const z = second(norm(first(h, mode), mode, { relu: true }), mode)
      return last ? last(z, mode) : z
    }),
  }
}
