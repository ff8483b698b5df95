// The heads of Momentum Contrast: features h [N, F] -> embeddings [N, D]. Parameters have the names
// of the papers' code.

import { relu } from '../kernels/elementwise/relu.ts'
import { checkOptions, count, flag, needed, oneOf } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LayerBuilder } from './layers.ts'
import { type Model, checkGpu, checkedForward, printedModel } from './model.ts'

interface MocoHeadOptions {
  /** F, the size of the features. */
  readonly features: number
  /** D, the size of the embeddings; 128 by default. */
  readonly dim?: number
  /** True adds the hidden layer of v2; false by default. */
  readonly mlp?: boolean
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

const headRules = { features: needed(count), dim: count, mlp: flag, seed: seedRule }

/** Makes MoCo's `fc`: features [N, F] -> embeddings [N, D], not normalised. It is linear as in v1
 *  (https://arxiv.org/abs/1911.05722). With `mlp` it is Linear, ReLU, Linear with F hidden units,
 *  as in v2 (https://arxiv.org/abs/2003.04297). Throws TypeError for wrong options. */
export function mocoHead(gpu: Gpu, options: MocoHeadOptions): Model {
  checkGpu('mocoHead', gpu)
  const {
    features,
    dim = 128,
    mlp = false,
    seed = 0,
  } = checkOptions('mocoHead', options ?? {}, headRules)
  const build = new LayerBuilder(gpu, seed)
  const first = mlp ? build.linear('fc.0', [features, features]) : null
  const last = build.linear(mlp ? 'fc.2' : 'fc', [features, dim])
  return printedModel('mocoHead', {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('mocoHead', (h, mode) => last(first ? relu(first(h, mode)) : h, mode)),
  })
}

/** Options of `mocoV3Head`. */
export interface MocoV3HeadOptions {
  /** Which of v3's two heads to make. Its parameters' names begin with it. */
  readonly name: 'projector' | 'predictor'
  /** Sizes of the input, of the hidden layer and of the output. */
  readonly widths: readonly [features: number, hidden: number, dim: number]
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

const isThree = (v: unknown) => Array.isArray(v) && v.length === 3 && v.every(count.fits)
const v3Rules = {
  name: needed(oneOf('projector', 'predictor')),
  widths: needed({ words: 'three whole numbers, [features, hidden, dim]', fits: isThree }),
  seed: seedRule,
}

/** Makes a head of MoCo v3 (https://arxiv.org/abs/2104.02057, section 4.1) as its code does for
 *  ResNet: Linear without bias, batch norm, ReLU, Linear without bias. The projector ends with a
 *  batch norm without scale and shift. Maps [N, features] -> [N, dim], not normalised. Throws
 *  TypeError or RangeError for wrong options. */
export function mocoV3Head(gpu: Gpu, options: MocoV3HeadOptions): Model {
  checkGpu('mocoV3Head', gpu)
  const { name, widths, seed = 0 } = checkOptions('mocoV3Head', options ?? {}, v3Rules)
  const [features, hidden, dim] = widths
  const build = new LayerBuilder(gpu, seed)
  const first = build.linear(`${name}.0`, [features, hidden], { bias: false })
  const norm = build.norm(`${name}.1`, hidden)
  const second = build.linear(`${name}.3`, [hidden, dim], { bias: false })
  const last =
    name === 'projector' ? build.norm(`${name}.4`, dim, { scale: false, shift: false }) : null
  return printedModel('mocoV3Head', {
    parameters: build.parameters,
    norms: build.norms,
    features: dim,
    forward: checkedForward('mocoV3Head', (h, mode) => {
      const z = second(norm(first(h, mode), mode, { relu: true }), mode)
      return last ? last(z, mode) : z
    }),
  })
}
