// Text towers: tokens [N, L] -> features h [N, D]. Token 0 is padding, behind the text.

import { type Tensor, ShapeError, dim, show } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { lengthsOf, meanRows } from '../kernels/reduce/mean-rows.ts'
import { indexSelect } from '../kernels/shape/gather.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { slice } from '../kernels/shape/slice.ts'
import { type Rules, checkOptions, count, needed, positive, share } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder } from './builder.ts'
import { type Model, checkGpu, checkedForward, printedModel } from './model.ts'
import { checkDivides } from './sizes.ts'
import { byteVocabulary } from './tokens.ts'
import { STD, dropPathRates, transformerBlock } from './transformer.ts'

/** Options of `bagOfTokens`. */
export interface BagOptions {
  /** Number of different tokens, padding included; `byteVocabulary` by default. */
  readonly vocabulary?: number
  /** D, the size of a token and of the features; 256 by default. */
  readonly width?: number
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** Options of `textTransformer`. */
export interface TextOptions extends BagOptions {
  /** Most tokens of a text. */
  readonly length: number
  /** Number of blocks; 4 by default. */
  readonly depth?: number
  /** Heads of the attention, a divisor of the width; 4 by default. */
  readonly heads?: number
  /** Size of a block's hidden layer over the width; 4 by default. */
  readonly mlpRatio?: number
  /** Probability of dropping an element of the tokens at first, and behind linear layers; 0 by
   *  default. */
  readonly dropout?: number
  /** Probability of dropping a branch of the last block, less in those before; 0 by default. */
  readonly dropPath?: number
}

const bagRules: Rules<BagOptions> = { vocabulary: count, width: count, seed: seedRule }

const textRules: Rules<TextOptions> = {
  ...bagRules,
  ...{ length: needed(count), depth: count, heads: count, mlpRatio: positive },
  ...{ dropout: share, dropPath: share },
}

/** Makes a bag of tokens: the mean of the embeddings of a text's tokens, which know no order.
 *  Tokens [N, L] of any length L, i32, or f32 that are whole -> features [N, width]; 0 for a text
 *  without tokens. Its one parameter, `token_embed.weight`, starts from N(0, 0.02²). Throws
 *  TypeError for wrong options. */
export function bagOfTokens(gpu: Gpu, options: BagOptions = {}): Model {
  checkGpu('bagOfTokens', gpu)
  const checked = checkOptions('bagOfTokens', options, bagRules)
  const { vocabulary = byteVocabulary, width = 256, seed = 0 } = checked
  const build = new Builder(gpu, seed)
  const embed = embedding(build, 'bagOfTokens', [vocabulary, width])
  return printedModel('bagOfTokens', {
    parameters: build.parameters,
    norms: build.norms,
    features: width,
    forward: checkedForward('bagOfTokens', (tokens) => meanRows(embed(tokens), lengthsOf(tokens))),
  })
}

/** Makes a transformer over tokens [N, L], L at most `length`, i32, or f32 that are whole ->
 *  features [N, width]: token and position embeddings, pre-norm blocks with attention in both
 *  directions, a layer norm, and the mean over a text's tokens. Padding takes no part; a text
 *  without tokens gives 0. Blocks are named and started as the vision transformers'. Throws
 *  TypeError for wrong options, RangeError for sizes that do not divide. */
export function textTransformer(gpu: Gpu, options: TextOptions): Model {
  const owner = 'textTransformer'
  checkGpu(owner, gpu)
  const checked = checkOptions(owner, options ?? ({} as TextOptions), textRules) // throws where missing
  const { vocabulary = byteVocabulary, width: D = 256, length, depth = 4, heads = 4 } = checked
  const { mlpRatio = 4, dropout = 0, dropPath = 0, seed = 0 } = checked
  checkDivides(owner, ['width', D], ['heads', heads])
  const build = new Builder(gpu, seed)
  const embed = embedding(build, owner, [vocabulary, D])
  const positions = build.drawn('pos_embed', [1, length, D], STD)
  const drop = build.dropout('pos_drop', dropout)
  const sizes = { width: D, heads, mlpRatio, eps: EPS, dropout }
  const blocks = dropPathRates(dropPath, depth).map((rate, i) =>
    transformerBlock(build, `blocks.${i}`, { ...sizes, dropPath: rate }),
  )
  const norm = build.layerNorm('norm', D, { eps: EPS })
  return printedModel(owner, {
    parameters: build.parameters,
    norms: build.norms,
    features: D,
    forward: checkedForward(owner, (tokens, mode) => {
      const embedded = embed(tokens)
      const [L, lengths] = [dim(tokens.shape, 1), lengthsOf(tokens)]
      if (L > length)
        throw new ShapeError(
          `${owner}: tokens must be at most ${length} a text, got ${show(tokens.shape)}`,
        )
      const first = drop(add(embedded, L < length ? slice(positions, 1, 0, L) : positions), mode)
      const last = blocks.reduce((y, block) => block(y, mode, lengths), first)
      return meanRows(norm(last, mode), lengths)
    }),
  })
}

const EPS = 1e-6 // of the layer norms, as in the vision transformers

/** Makes an embedding: tokens [N, L] -> [N, L, D]. */
function embedding(
  build: Builder,
  owner: string,
  [vocabulary, D]: readonly [number, number],
): (tokens: Tensor) => Tensor {
  const table = build.drawn('token_embed.weight', [vocabulary, D], STD)
  return (tokens) => {
    const [N = 0, L = 0] = tokens.shape
    if (tokens.shape.length !== 2)
      throw new ShapeError(`${owner}: tokens must be [N, L], got ${show(tokens.shape)}`)
    return reshape(indexSelect(table, 0, reshape(tokens, [N * L])), [N, L, D])
  }
}
