// The block of transformers (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762) in its pre-norm
// form, with timm's names:
//   x = x + attn(norm1(x));   x = x + fc2(gelu(fc1(norm2(x))))

import { type Tensor, dim } from '../kernels/op.ts'
import { attention } from '../kernels/attention/attention.ts'
import { add } from '../kernels/elementwise/add.ts'
import { gelu } from '../kernels/elementwise/gelu.ts'
import { chunk } from '../kernels/shape/chunk.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import type { Builder } from './builder.ts'
import type { Layer, Mode } from './model.ts'

/** Sizes of a block, and what it drops in training. */
export interface BlockOptions {
  /** D, the size of a token. */
  readonly width: number
  /** Heads of the attention, a divisor of the width. */
  readonly heads: number
  /** Size of the hidden layer over the width. */
  readonly mlpRatio: number
  /** Added to the variance of a layer norm. */
  readonly eps: number
  /** Probability of dropping an element behind each linear layer but the first of the attention. */
  readonly dropout: number
  /** Probability of dropping a branch. */
  readonly dropPath: number
}

/** The forward of a layer of tokens: [N, T, D] -> [N, T, D]. Where `lengths` i32 [N] are given, a
 *  sample's tokens attend to its first ones alone. */
export type TokenLayer = (x: Tensor, mode: Mode, lengths?: Tensor) => Tensor

/** Standard deviation of the initial weights, as in timm, where they are cut off at 2: at a hundred
 *  standard deviations, so never. Biases start at 0. */
export const STD = 0.02

/** Makes a block. Its layers have the names `<name>.norm1`, `.attn.qkv`, `.attn.proj`, `.norm2`,
 *  `.mlp.fc1` and `.mlp.fc2`. */
export function transformerBlock(build: Builder, name: string, options: BlockOptions): TokenLayer {
  const { width: D, eps, dropPath } = options
  const norm1 = build.layerNorm(`${name}.norm1`, D, { eps })
  const attend = selfAttention(build, `${name}.attn`, options)
  const path1 = build.dropPath(`${name}.drop_path1`, dropPath)
  const norm2 = build.layerNorm(`${name}.norm2`, D, { eps })
  const mlp = perceptron(build, `${name}.mlp`, options)
  const path2 = build.dropPath(`${name}.drop_path2`, dropPath)
  return (x, mode, lengths) => {
    const y = add(x, path1(attend(norm1(x, mode), mode, lengths), mode))
    return add(y, path2(mlp(norm2(y, mode), mode), mode))
  }
}

function selfAttention(
  build: Builder,
  name: string,
  { width: D, heads, dropout }: BlockOptions,
): TokenLayer {
  const qkv = build.linear(`${name}.qkv`, [D, 3 * D], { std: STD })
  const project = build.linear(`${name}.proj`, [D, D], { std: STD })
  const drop = build.dropout(`${name}.proj_drop`, dropout)
  return (x, mode, lengths) => {
    const split = [dim(x.shape, 0), dim(x.shape, 1), heads, D / heads]
    const [q = x, k = x, v = x] = chunk(qkv(x, mode), 3, -1).map((part) => reshape(part, split))
    const out = attention(q, k, v, lengths ? { lengths } : {})
    return drop(project(reshape(out, x.shape), mode), mode)
  }
}

/** fc2(gelu(fc1(x))), of exact GELU. */
export function perceptron(
  build: Builder,
  name: string,
  { width: D, mlpRatio, dropout }: Pick<BlockOptions, 'width' | 'mlpRatio' | 'dropout'>,
): Layer {
  const hidden = Math.trunc(D * mlpRatio)
  const fc1 = build.linear(`${name}.fc1`, [D, hidden], { std: STD })
  const drop1 = build.dropout(`${name}.drop1`, dropout)
  const fc2 = build.linear(`${name}.fc2`, [hidden, D], { std: STD })
  const drop2 = build.dropout(`${name}.drop2`, dropout)
  return (x, mode) => drop2(fc2(drop1(gelu(fc1(x, mode)), mode), mode), mode)
}

/** Probabilities of dropping the branches of each of `depth` blocks: from 0 at the first, rising
 *  evenly to `most` at the last, as in timm. */
export const dropPathRates = (most: number, depth: number): readonly number[] =>
  Array.from({ length: depth }, (_, i) => (depth > 1 ? (most * i) / (depth - 1) : 0))
