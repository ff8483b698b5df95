// Vision transformers (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929; the small ones of
// Touvron et al. 2021, https://arxiv.org/abs/2012.12877) as in timm, with its names, without the
// classifier: images [N, size, size, C] -> features h [N, D].

import { type Tensor, ShapeError, dim, images, show } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { mean } from '../kernels/reduce/mean.ts'
import { concat } from '../kernels/shape/concat.ts'
import { expand } from '../kernels/shape/expand.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { slice } from '../kernels/shape/slice.ts'
import {
  type Rules,
  checkOptions,
  count,
  needed,
  oneOf,
  positive,
  share,
} from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder } from './builder.ts'
import { type Layer, type Model, checkGpu, checkedForward, printedModel } from './model.ts'
import { checkDivides } from './sizes.ts'
import { STD, dropPathRates, transformerBlock } from './transformer.ts'

/** Options of the vision transformers. */
export interface ViTOptions {
  /** Side of the images in pixels; 224 by default. */
  readonly size?: number
  /** Side of a patch in pixels, a divisor of the size; 16 by default, 4 for images of 32 px. */
  readonly patch?: number
  /** C, the channels of the images; 3 by default. */
  readonly channels?: number
  /** 'token', the default: the features are those of the class token. 'avg': the mean of the
   *  patches', and the last norm has the name `fc_norm`. */
  readonly pool?: 'token' | 'avg'
  /** Probability of dropping an element of the tokens at first, and behind linear layers; 0 by
   *  default. */
  readonly dropout?: number
  /** Probability of dropping a branch of the last block, less in those before; 0 by default. */
  readonly dropPath?: number
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** Options of `vit`: the sizes too. */
export interface ViTSizes extends ViTOptions {
  /** D, the size of a token and of the features. */
  readonly width: number
  /** Number of blocks. */
  readonly depth: number
  /** Heads of the attention, a divisor of the width. */
  readonly heads: number
  /** Size of a block's hidden layer over the width; 4 by default. */
  readonly mlpRatio?: number
}

const optionRules: Rules<ViTOptions> = {
  ...{ size: count, patch: count, channels: count, pool: oneOf('token', 'avg') },
  ...{ dropout: share, dropPath: share, seed: seedRule },
}

const sizeRules: Rules<ViTSizes> = {
  ...{ width: needed(count), depth: needed(count), heads: needed(count), mlpRatio: positive },
  ...optionRules,
}

/** Makes a ViT-Tiny, timm's `vit_tiny_patch16_224` by default: images [N, size, size, C] ->
 *  features [N, 192]. Throws TypeError for wrong options, RangeError for sizes that do not
 *  divide. */
export const vitTiny = (gpu: Gpu, options: ViTOptions = {}): Model =>
  transformer('vitTiny', gpu, {
    ...{ width: 192, depth: 12, heads: 3 },
    ...checkOptions('vitTiny', options, optionRules),
  })

/** Makes a ViT-Small, timm's `vit_small_patch16_224` by default: images [N, size, size, C] ->
 *  features [N, 384]. Throws TypeError for wrong options, RangeError for sizes that do not
 *  divide. */
export const vitSmall = (gpu: Gpu, options: ViTOptions = {}): Model =>
  transformer('vitSmall', gpu, {
    ...{ width: 384, depth: 12, heads: 6 },
    ...checkOptions('vitSmall', options, optionRules),
  })

/** Makes a vision transformer of any size: images [N, size, size, C] -> features [N, width]. Throws
 *  TypeError for wrong options, RangeError for sizes that do not divide. */
export const vit = (gpu: Gpu, options: ViTSizes): Model =>
  transformer('vit', gpu, checkOptions('vit', options ?? ({} as ViTSizes), sizeRules)) // throws where missing

const EPS = 1e-6 // of the layer norms, as in timm

function transformer(owner: string, gpu: Gpu, options: ViTSizes): Model {
  checkGpu(owner, gpu)
  const { size = 224, patch = 16, channels = 3, width: D, depth, heads } = options
  const { pool = 'token', mlpRatio = 4, dropout = 0, dropPath = 0, seed = 0 } = options
  checkDivides(owner, ['size', size], ['patch', patch])
  checkDivides(owner, ['width', D], ['heads', heads])
  const build = new Builder(gpu, seed)
  const tokens = tokensOf(build, { owner, size, patch, channels, D })
  const drop = build.dropout('pos_drop', dropout)
  const sizes = { width: D, heads, mlpRatio, eps: EPS, dropout }
  const blocks = dropPathRates(dropPath, depth).map((rate, i) =>
    transformerBlock(build, `blocks.${i}`, { ...sizes, dropPath: rate }),
  )
  const norm = build.layerNorm(pool === 'token' ? 'norm' : 'fc_norm', D, { eps: EPS })
  return printedModel(owner, {
    parameters: build.parameters,
    norms: build.norms,
    features: D,
    forward: checkedForward(owner, (x, mode) => {
      const first = drop(tokens(x, mode), mode)
      return norm(
        pooled(
          blocks.reduce((y, block) => block(y, mode), first),
          pool,
        ),
        mode,
      )
    }),
  })
}

/** The features of tokens [N, T, D] before the last norm, which is of each row by itself. */
function pooled(y: Tensor, pool: 'token' | 'avg'): Tensor {
  const [N, T, D] = [dim(y.shape, 0), dim(y.shape, 1), dim(y.shape, 2)]
  return pool === 'token' ? reshape(slice(y, 1, 0, 1), [N, D]) : mean(slice(y, 1, 1, T), [1])
}

interface Patches {
  readonly owner: string
  readonly size: number
  readonly patch: number
  readonly channels: number
  readonly D: number
}

/** Makes the layer from images [N, size, size, C] to tokens [N, 1 + patches, D]: the class token
 *  and the patches, with their positions added. */
function tokensOf(build: Builder, { owner, size, patch, channels, D }: Patches): Layer {
  const T = (size / patch) ** 2
  const cls = build.drawn('cls_token', [1, 1, D], 1e-6)
  const positions = build.drawn('pos_embed', [1, 1 + T, D], STD)
  const project = build.conv('patch_embed.proj', [channels, D], {
    ...{ size: patch, stride: patch, padding: 0, bias: true, init: 'torch' },
  })
  return (x, mode) => {
    const [N, H, W, C] = images(x.shape, `${owner}: x`)
    if (H !== size || W !== size || C !== channels)
      throw new ShapeError(
        `${owner}: images must be [N, ${size}, ${size}, ${channels}], got ${show(x.shape)}`,
      )
    const patches = reshape(project(x, mode), [N, T, D])
    return add(concat([expand(cls, [N, 1, D]), patches], 1), positions)
  }
}
