// AMDIM's encoder (Bachman, Hjelm and Buchwalter 2019, https://arxiv.org/abs/1906.00910, section 4;
// model.py of its code): a residual network without padding, so that features of different places
// see different pixels, read off at three scales.

import { type Tensor, ShapeError, images, show } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { relu } from '../kernels/elementwise/relu.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  flag,
  needed,
  said,
  whole,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Made, lastOf, stacked } from './amdim-layers.ts'
import {
  Builder,
  type Layer,
  type Mode,
  type Model,
  checkGpu,
  checkMode,
  checkedForward,
} from './layers.ts'
import { checkSizes } from './sizes.ts'

export interface AmdimEncoderOptions {
  /** Side of the images in pixels: 32, 64 or 128, or another that reaches maps of 7, 5 and 1. */
  readonly size: number
  /** Channels of the first layer, the authors' ndf: 128, or 256 in their large models. */
  readonly width?: number
  /** R, size of the features at every scale, the authors' n_rkhs: 1024, or 2048. */
  readonly features?: number
  /** Layers of each residual block, the authors' n_depth. */
  readonly depth?: number
  /** Whether the residual branches are normalised. Their norms are parameters either way, as in the
   *  authors' code. */
  readonly batchNorm?: boolean
  readonly seed?: number
}

/** An image's features: one vector, and maps of 5 x 5 and 7 x 7 places. */
export interface Scales {
  /** [N, R] */
  readonly r1: Tensor
  /** [N, 5, 5, R] */
  readonly r5: Tensor
  /** [N, 7, 7, R] */
  readonly r7: Tensor
}

/** A model whose forward returns r1 [N, R], and whose `scales` returns all three. */
export interface AmdimEncoder extends Model {
  readonly scales: (x: Tensor, mode: Mode) => Scales
}

type Options = Required<AmdimEncoderOptions>

const rules = {
  ...{
    size: needed(said('a whole number from 1 on')),
    width: anything,
    features: anything,
    depth: anything,
  },
  ...{ batchNorm: flag, seed: whole },
}

/** 1 x 1 layers on a map, into the space where scores are taken: a residual branch and a linear
 *  path that begins near the identity, into one norm. */
function head(
  build: Builder,
  name: string,
  [C, R]: readonly [number, number],
  { batchNorm }: Options,
): Layer {
  const conv1 = build.unpadded(`${name}.conv1`, [C, R])
  const hidden = build.norm(`${name}.bn_hid.bn`, R)
  const out = build.norm(`${name}.bn_out.bn`, R)
  const conv2 = build.unpadded(`${name}.conv2`, [R, R], { init: 'zero' })
  const shortcut = build.unpadded(`${name}.shortcut`, [C, R], { bias: true, init: 'identity' })
  return (x, mode) => {
    const h = conv1(x, mode)
    const branch = conv2(batchNorm ? hidden(h, mode, { relu: true }) : relu(h), mode)
    return out(add(branch, shortcut(x, mode)), mode)
  }
}

/** AMDIM's encoder, images [N, size, size, 3] -> r1 [N, R], with r5 and r7 beside it (`scales`), by
 *  the authors' names. The layers (kernel and stride; c is the width; blocks have `depth` layers),
 *  and the sides of the maps:
 *
 *  | layer | channels | 32 px | 64 px | 128 px |
 *  | --- | --- | --- | --- | --- |
 *  | convolution 5 s2, reflected | c | | | 64 |
 *  | convolution 3 | c | 30 | 62 | 62 |
 *  | residual 1 | c | 30 | | |
 *  | block 4 s2 | 2c | 14 | 30 | 30 |
 *  | block 4 s2 | 4c | | 14 | 14 |
 *  | block 2 s2 | 4c, 8c from 64 px on | 7 | 7 | 7 |
 *  | norm if asked for -> head -> r7 | same | 7 | 7 | 7 |
 *  | block 3 -> head -> r5 | same | 5 | 5 | 5 |
 *  | block 3 | same | 3 | 3 | 3 |
 *  | residual 3 | R | 1 | 1 | 1 |
 *  | norm, always -> r1 | R | 1 | 1 | 1 |
 *
 *  r7 and r5 are read after the last layer whose map has that side. At the start every branch is
 *  zero, so that after the convolutions the network is average pooling, with channels of zeros.
 *  Throws RangeError for sizes whose maps miss 7, 5 or 1, and for too few features. */
export function amdimEncoder(gpu: Gpu, given: AmdimEncoderOptions): AmdimEncoder {
  checkGpu('amdimEncoder', gpu)
  const options: Options = {
    ...{ width: 128, features: 1024, depth: 3, batchNorm: false, seed: 0 },
    ...checkOptions('amdimEncoder', given ?? {}, rules),
  }
  const { size, width, features: R, depth } = options
  checkSizes('amdimEncoder', { size, width, features: R, depth })
  const build = new Builder(gpu, options.seed)
  const layers = stacked(build, options)
  const [last7, last5] = [lastOf(layers, 7, size), lastOf(layers, 5, size)]
  const head5 = head(build, 'rkhs_block_5', [last5.channels, R], options)
  const head7 = head(build, 'rkhs_block_7', [last7.channels, R], options)

  /** The last map, [N, 1, 1, R], and those that `seen` is told of on the way. */
  const through = (x: Tensor, mode: Mode, seen: (made: Made, h: Tensor) => void): Tensor => {
    const [N, H, W] = images(x.shape, 'amdimEncoder: x')
    if (H !== size || W !== size)
      throw new ShapeError(
        `amdimEncoder: images must have ${size} x ${size} pixels, got ${show(x.shape)}`,
      )
    let h = x
    for (const made of layers) {
      h = made.layer(h, mode)
      seen(made, h)
    }
    return reshape(h, [N, R])
  }
  return {
    parameters: build.parameters,
    norms: build.norms,
    features: R,
    forward: checkedForward('amdimEncoder', (x, mode) => through(x, mode, () => {})),
    scales(x, mode) {
      checkTensor('amdimEncoder.scales', 'x', x)
      checkMode('amdimEncoder.scales', mode)
      const maps = new Map<Made, Tensor>()
      const r1 = through(x, mode, (made, h) => maps.set(made, h))
      return { r1, r5: head5(maps.get(last5) ?? x, mode), r7: head7(maps.get(last7) ?? x, mode) }
    },
  }
}
