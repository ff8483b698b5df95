// The heads of Momentum Contrast: features h [N, F] -> embeddings [N, D], by the papers' code's
// names.

import { relu } from '../kernels/elementwise/relu.ts'
import { checkOptions, count, flag, needed, oneOf, whole } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder, type Model, checkGpu, checkedForward } from './layers.ts'

interface MocoHeadOptions {
  readonly features: number
  readonly dim?: number
  readonly mlp?: boolean
  readonly seed?: number
}

const headRules = { features: needed(count), dim: count, mlp: flag, seed: whole }

/** MoCo's `fc`: linear as in v1 (https://arxiv.org/abs/1911.05722), or with `mlp` a hidden layer as
 *  wide as the features as in v2 (https://arxiv.org/abs/2003.04297). */
export function mocoHead(gpu: Gpu, options: MocoHeadOptions): Model {
  checkGpu('mocoHead', gpu)
  const {
    features,
    dim = 128,
    mlp = false,
    seed = 0,
  } = checkOptions('mocoHead', options ?? {}, headRules)
  const build = new Builder(gpu, seed)
  const first = mlp ? build.linear('fc.0', [features, features]) : null
  const last = build.linear(mlp ? 'fc.2' : 'fc', [features, dim])
  return {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('mocoHead', (h, mode) => last(first ? relu(first(h, mode)) : h, mode)),
  }
}

/** Widths of a perceptron of MoCo v3, in, hidden and out, and its place among the parameters'
 *  names. */
export interface MocoV3HeadOptions {
  readonly name: 'projector' | 'predictor'
  readonly widths: readonly [features: number, hidden: number, dim: number]
  readonly seed?: number
}

const isThree = (v: unknown) => Array.isArray(v) && v.length === 3 && v.every(count.fits)
const v3Rules = {
  name: needed(oneOf('projector', 'predictor')),
  widths: needed({ words: 'three whole numbers, [features, hidden, dim]', fits: isThree }),
  seed: whole,
}

/** A two-layer perceptron of MoCo v3 (https://arxiv.org/abs/2104.02057, section 4.1) as its code
 *  has it for ResNet: linear without bias, batch norm, ReLU, linear without bias; the projector
 *  ends in a batch norm without scale and shift. */
export function mocoV3Head(gpu: Gpu, options: MocoV3HeadOptions): Model {
  checkGpu('mocoV3Head', gpu)
  const { name, widths, seed = 0 } = checkOptions('mocoV3Head', options ?? {}, v3Rules)
  const [features, hidden, dim] = widths
  const build = new Builder(gpu, seed)
  const first = build.linear(`${name}.0`, [features, hidden], { bias: false })
  const norm = build.norm(`${name}.1`, hidden)
  const second = build.linear(`${name}.3`, [hidden, dim], { bias: false })
  const last =
    name === 'projector' ? build.norm(`${name}.4`, dim, { scale: false, shift: false }) : null
  return {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('mocoV3Head', (h, mode) => {
      const z = second(norm(first(h, mode), mode, { relu: true }), mode)
      return last ? last(z, mode) : z
    }),
  }
}
