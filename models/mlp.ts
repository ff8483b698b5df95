// A multilayer perceptron for tables and other vectors, such as SCARF's encoder (Bahri et al. 2022,
// https://arxiv.org/abs/2106.15147): x [N, inputs] -> features h [N, F].

import { ShapeError, show } from '../kernels/op.ts'
import { relu } from '../kernels/elementwise/relu.ts'
import { checkOptions, count, counts, needed, oneOf, share } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder } from './builder.ts'
import { type Layer, type Model, checkGpu, checkedForward, printedModel } from './model.ts'

/** Options of `mlp`. */
export interface MlpOptions {
  /** Numbers of an input row. */
  readonly inputs: number
  /** Size of each layer; the last is that of the features. [256, 256, 256, 256] by default. */
  readonly widths?: readonly number[]
  /** What follows each linear layer: 'batch', the default, or 'layer' norm, or 'none'. */
  readonly norm?: 'batch' | 'layer' | 'none'
  /** Probability of dropping an element behind each ReLU; 0 by default. */
  readonly dropout?: number
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

const rules = {
  inputs: needed(count),
  widths: counts,
  ...{ norm: oneOf('batch', 'layer', 'none'), dropout: share, seed: seedRule },
}

/** Makes a perceptron: x [N, inputs] -> features [N, F], the last of `widths`. A layer is linear,
 *  norm, ReLU, dropout, named `layers.0`, `norms.0` and so on. Linear layers start as torch's, and
 *  have no bias before batch norm. Throws TypeError for wrong options. */
export function mlp(gpu: Gpu, options: MlpOptions): Model {
  checkGpu('mlp', gpu)
  const checked = checkOptions('mlp', options ?? ({} as MlpOptions), rules) // throws where missing
  const { inputs, widths = [256, 256, 256, 256] } = checked
  const { norm = 'batch', dropout = 0, seed = 0 } = checked
  const build = new Builder(gpu, seed)
  const layers = widths.map((K, i) =>
    layerOf(build, i, [widths[i - 1] ?? inputs, K], { norm, dropout }),
  )
  return printedModel('mlp', {
    parameters: build.parameters,
    norms: build.norms,
    features: widths.at(-1) ?? 0,
    forward: checkedForward('mlp', (x, mode) => {
      if (x.shape.length !== 2 || x.shape[1] !== inputs)
        throw new ShapeError(`mlp: x must be [N, ${inputs}], got ${show(x.shape)}`)
      return layers.reduce((h, layer) => layer(h, mode), x)
    }),
  })
}

function layerOf(
  build: Builder,
  i: number,
  sizes: readonly [C: number, K: number],
  { norm, dropout }: Required<Pick<MlpOptions, 'norm' | 'dropout'>>,
): Layer {
  const affine = build.linear(`layers.${i}`, sizes, { bias: norm !== 'batch' })
  const drop = build.dropout(`drops.${i}`, dropout)
  const batch = norm === 'batch' ? build.norm(`norms.${i}`, sizes[1]) : null
  const layer = norm === 'layer' ? build.layerNorm(`norms.${i}`, sizes[1]) : null
  return (x, mode) => {
    const y = affine(x, mode)
    if (batch) return drop(batch(y, mode, { relu: true }), mode)
    return drop(relu(layer ? layer(y, mode) : y), mode)
  }
}
