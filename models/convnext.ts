// ConvNeXt (Liu et al. 2022, https://arxiv.org/abs/2201.03545) as in timm, with its names, without the
// classifier: images [N, H, W, C] -> features h [N, F].

import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import { globalAvgPool } from '../kernels/pool/global-avg-pool.ts'
import {
  type Rules,
  checkOptions,
  count,
  counts,
  needed,
  positive,
  share,
} from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder } from './builder.ts'
import { type Layer, type Model, checkGpu, checkedForward, printedModel } from './model.ts'
import { STD, dropPathRates, perceptron } from './transformer.ts'

/** Options of the ConvNeXts. */
export interface ConvNeXtOptions {
  /** Side of a patch of the stem in pixels; 4 by default, 1 or 2 for images of 32 px. The maps of
   *  the four stages have sides of size / patch, and a half of that from stage to stage. */
  readonly patch?: number
  /** C, the channels of the images; 3 by default. */
  readonly channels?: number
  /** Probability of dropping a branch of the last block, less in those before; 0 by default. */
  readonly dropPath?: number
  /** Initial factor of each branch; 1e-6 by default. */
  readonly layerScale?: number
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** Options of `convNeXt`: the sizes too. */
export interface ConvNeXtSizes extends ConvNeXtOptions {
  /** Blocks of each stage. */
  readonly depths: readonly number[]
  /** Channels of each stage; the last are those of the features. */
  readonly widths: readonly number[]
}

const optionRules: Rules<ConvNeXtOptions> = {
  ...{ patch: count, channels: count, dropPath: share, layerScale: positive, seed: seedRule },
}

const sizeRules: Rules<ConvNeXtSizes> = {
  ...{ depths: needed(counts), widths: needed(counts) },
  ...optionRules,
}

/** Makes a ConvNeXt-Tiny, timm's `convnext_tiny` by default: images [N, H, W, C] -> features
 *  [N, 768]. Throws TypeError for wrong options. */
export const convNeXtTiny = (gpu: Gpu, options: ConvNeXtOptions = {}): Model =>
  network('convNeXtTiny', gpu, {
    ...{ depths: [3, 3, 9, 3], widths: [96, 192, 384, 768] },
    ...checkOptions('convNeXtTiny', options, optionRules),
  })

/** Makes a ConvNeXt of any size: images [N, H, W, C] -> features [N, F], the last of `widths`.
 *  Throws TypeError for wrong options, RangeError unless every stage has a depth and a width. */
export function convNeXt(gpu: Gpu, options: ConvNeXtSizes): Model {
  const checked = checkOptions('convNeXt', options ?? ({} as ConvNeXtSizes), sizeRules) // throws where missing
  const { depths, widths } = checked
  if (depths.length !== widths.length)
    throw new RangeError(
      `convNeXt: depths and widths must be as many, got ${depths.length} and ${widths.length}`,
    )
  return network('convNeXt', gpu, checked)
}

const EPS = 1e-6 // of the layer norms, as in timm

function network(owner: string, gpu: Gpu, options: ConvNeXtSizes): Model {
  checkGpu(owner, gpu)
  const { depths, widths, patch = 4, channels = 3, dropPath = 0, layerScale = 1e-6 } = options
  const build = new Builder(gpu, options.seed ?? 0)
  const rates = dropPathRates(
    dropPath,
    depths.reduce((a, b) => a + b, 0),
  )
  const layers: Layer[] = []
  let [C, made] = [channels, 0]
  for (const [i, K] of widths.entries()) {
    layers.push(i === 0 ? stem(build, [C, K], patch) : downsample(build, i, [C, K]))
    for (let j = 0; j < (depths[i] ?? 0); j++) {
      const name = `stages.${i}.blocks.${j}`
      layers.push(block(build, name, K, { layerScale, dropPath: rates[made++] ?? 0 }))
    }
    C = K
  }
  const norm = build.layerNorm('head.norm', C, { eps: EPS })
  return printedModel(owner, {
    parameters: build.parameters,
    norms: build.norms,
    features: C,
    forward: checkedForward(owner, (x, mode) =>
      norm(globalAvgPool(layers.reduce((h, layer) => layer(h, mode), x)), mode),
    ),
  })
}

type Channels = readonly [C: number, K: number]

/** A convolution of patches that do not overlap. */
const patches = (build: Builder, name: string, sizes: Channels, side: number): Layer =>
  build.conv(name, sizes, {
    ...{ size: side, stride: side, padding: 0, bias: true, init: { std: STD } },
  })

/** Patches, layer norm. */
function stem(build: Builder, sizes: Channels, side: number): Layer {
  const conv = patches(build, 'stem.0', sizes, side)
  const norm = build.layerNorm('stem.1', sizes[1], { eps: EPS })
  return (x, mode) => norm(conv(x, mode), mode)
}

/** Layer norm, patches of 2 x 2. */
function downsample(build: Builder, stage: number, sizes: Channels): Layer {
  const norm = build.layerNorm(`stages.${stage}.downsample.0`, sizes[0], { eps: EPS })
  const conv = patches(build, `stages.${stage}.downsample.1`, sizes, 2)
  return (x, mode) => conv(norm(x, mode), mode)
}

interface Branch {
  readonly layerScale: number
  readonly dropPath: number
}

/** x + γ fc2(gelu(fc1(norm(conv_dw(x))))), conv_dw 7 x 7 of each channel by itself. */
function block(build: Builder, name: string, C: number, { layerScale, dropPath }: Branch): Layer {
  const depthwise = build.conv(`${name}.conv_dw`, [C, C], {
    ...{ size: 7, groups: C, bias: true, init: { std: STD } },
  })
  const norm = build.layerNorm(`${name}.norm`, C, { eps: EPS })
  const mlp = perceptron(build, `${name}.mlp`, { width: C, mlpRatio: 4, dropout: 0 })
  const gamma = build.parameter(`${name}.gamma`, new Float32Array(C).fill(layerScale), [C])
  const path = build.dropPath(`${name}.drop_path`, dropPath)
  return (x: Tensor, mode) => {
    const y = mlp(norm(depthwise(x, mode), mode), mode)
    return add(x, path(mul(y, gamma), mode))
  }
}
