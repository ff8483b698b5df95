// The blocks and stages of residual networks (He et al. 2016, https://arxiv.org/abs/1512.03385), with
// torchvision's names. Windows are square over images, and of one row over signals [N, 1, L, C].

import type { Shortcut } from '../kernels/conv/conv-norm.ts'
import type { Tensor } from '../kernels/op.ts'
import type { LayerBuilder } from './layers.ts'
import type { Layer, Mode } from './model.ts'

/** A kind of residual block. */
export interface ResidualBlock {
  readonly expansion: number
  /** Makes a block of C channels to K x expansion, with K inside. `zero` starts its branch at
   *  zero. */
  readonly make: (build: LayerBuilder, name: string, sizes: Sizes, zero: boolean) => Layer
}

/** Channels in, channels inside, and stride of a block. */
interface Sizes {
  readonly C: number
  readonly K: number
  readonly stride: number
  /** True for signals: windows have one row. */
  readonly line: boolean
}

/** The size or the stride of a window. */
const across = (n: number, line: boolean): number | readonly [number, number] => (line ? [1, n] : n)

/** Two convolutions of 3 x 3; the first has the stride. */
export const basic: ResidualBlock = {
  expansion: 1,
  make(build, name, { C, K, stride, line }, zero) {
    const [size, steps] = [across(3, line), across(stride, line)]
    const first = build.convNorm([`${name}.conv1`, `${name}.bn1`], [C, K], { size, stride: steps })
    const second = build.convNorm([`${name}.conv2`, `${name}.bn2`], [K, K], { size, zero })
    const shortcut = downsample(build, name, { C, K, stride, line })
    return (x, mode) => {
      const y = first(x, mode, { relu: true })
      return second(y, mode, { residual: shortcut(x, mode), relu: true })
    }
  },
}

/** 1 x 1, 3 x 3 with the stride, 1 x 1 to four times the channels. */
export const bottleneck: ResidualBlock = {
  expansion: 4,
  make(build, name, { C, K, stride, line }, zero) {
    const middle = { size: across(3, line), stride: across(stride, line) }
    const first = build.convNorm([`${name}.conv1`, `${name}.bn1`], [C, K], { size: 1 })
    const second = build.convNorm([`${name}.conv2`, `${name}.bn2`], [K, K], middle)
    const third = build.convNorm([`${name}.conv3`, `${name}.bn3`], [K, 4 * K], { size: 1, zero })
    const shortcut = downsample(build, name, { C, K: 4 * K, stride, line })
    return (x, mode) => {
      const y = second(first(x, mode, { relu: true }), mode, { relu: true })
      return third(y, mode, { residual: shortcut(x, mode), relu: true })
    }
  },
}

/** Makes a block's shortcut: the identity, or a 1x1 convolution and norm where the shape
 *  changes. */
function downsample(
  build: LayerBuilder,
  name: string,
  { C, K, stride, line }: Sizes,
): (x: Tensor, mode: Mode) => Tensor | Shortcut {
  if (C === K && stride === 1) return (x) => x
  const names = [`${name}.downsample.0`, `${name}.downsample.1`] as const
  return build.convNorm(names, [C, K], { size: 1, stride: across(stride, line) }).shortcut
}

/** The stages of a residual network. */
interface Stages {
  readonly block: ResidualBlock
  /** Blocks of each stage. */
  readonly depths: readonly number[]
  /** Channels of the first stage; each later one has twice as many. */
  readonly width: number
  /** True starts each branch's last norm at scale 0. */
  readonly zero: boolean
  readonly line?: boolean
}

/** Makes all blocks, `layer1.0` and so on, from maps of `width` channels on. Every stage but the
 *  first begins with a stride of 2. Returns the channels of the last, too. */
export function stagesOf(
  build: LayerBuilder,
  { block, depths, width, zero, line = false }: Stages,
): { readonly layers: readonly Layer[]; readonly channels: number } {
  const layers: Layer[] = []
  let C = width
  for (const [stage, depth] of depths.entries()) {
    const K = width * 2 ** stage
    for (let i = 0; i < depth; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1
      layers.push(block.make(build, `layer${stage + 1}.${i}`, { C, K, stride, line }, zero))
      C = K * block.expansion
    }
  }
  return { layers, channels: C }
}
