// AMDIM's encoder (Bachman, Hjelm and Buchwalter 2019, https://arxiv.org/abs/1906.00910, section 4;
// model.py of its code): a residual network read at three scales. It pads no maps, so features at
// different positions see different pixels.

import { type Tensor, ShapeError, images, show } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { conv2d } from '../kernels/conv/conv2d.ts'
import { residualUnit } from '../kernels/conv/residual-unit.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { anything, checkOptions, checkTensor, flag, needed, said } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Made, lastOf, stacked } from './amdim-layers.ts'
import { LayerBuilder } from './layers.ts'
import {
  type Layer,
  type Mode,
  type Model,
  checkGpu,
  checkMode,
  checkedForward,
  printedModel,
} from './model.ts'
import { checkSizes } from './sizes.ts'

/** Options of `amdimEncoder`. */
export interface AmdimEncoderOptions {
  /** Side of the images in pixels: 32, 64 or 128. Other sizes are allowed if their maps have sides
   *  7, 5 and 1 too. */
  readonly size: number
  /** Channels of the first layer, the authors' ndf; 128 by default. Their large models have 256. */
  readonly width?: number
  /** R, the size of the features at every scale, the authors' n_rkhs; 1024 by default. Their large
   *  models have 2048. */
  readonly features?: number
  /** Layers of each residual block, the authors' n_depth; 3 by default. */
  readonly depth?: number
  /** C, the channels of the images; 3 by default. */
  readonly channels?: number
  /** True normalises the residual branches; false by default. Their norms are among the parameters
   *  either way, as in the authors' code. */
  readonly batchNorm?: boolean
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** Features of N images: one vector each, and maps of 5 x 5 and 7 x 7 positions. */
export interface Scales {
  /** [N, R] */
  readonly r1: Tensor
  /** [N, 5, 5, R] */
  readonly r5: Tensor
  /** [N, 7, 7, R] */
  readonly r7: Tensor
}

/** A model whose forward maps images [N, size, size, C] to r1 [N, R]. */
export interface AmdimEncoder extends Model {
  /** Features of images x [N, size, size, C] at all three scales. Throws ShapeError. */
  readonly scales: (x: Tensor, mode: Mode) => Scales
  /** The most images that `scales` takes at once: the device binds the maps of no more. `amdim`
   *  encodes both views together where they are no more, and one after the other without it. */
  readonly mostImages?: number
}

type Options = Required<AmdimEncoderOptions>

const rules = {
  ...{
    size: needed(said('a whole number from 1 on')),
    width: anything,
    features: anything,
    depth: anything,
    channels: anything,
  },
  ...{ batchNorm: flag, seed: seedRule },
}

/** Makes 1 x 1 layers that map C channels to the R of the scores: norm(branch + shortcut). The
 *  shortcut is linear and starts near the identity. */
function head(
  build: LayerBuilder,
  name: string,
  [C, R]: readonly [number, number],
  { batchNorm }: Options,
): Layer {
  const { w: w1 } = build.filters(`${name}.conv1`, [C, R], { size: 1, init: 'torch' })
  const hidden = build.norm(`${name}.bn_hid.bn`, R)
  const out = build.norm(`${name}.bn_out.bn`, R)
  const { w: w2 } = build.filters(`${name}.conv2`, [R, R], { size: 1, init: 'zero' })
  const linear = { size: 1, bias: true, init: 'identity' } as const
  const { w, b } = build.filters(`${name}.shortcut`, [C, R], linear)
  return (x, mode) => {
    if (!batchNorm) return out(residualUnit(x, w1, w2, { projection: { w, b } }), mode)
    const branch = conv2d(hidden(conv2d(x, w1), mode, { relu: true }), w2)
    return out(add(branch, conv2d(x, w, { bias: b })), mode)
  }
}

/** Returns the number of images. Throws ShapeError unless their sides and channels are these. */
function countOf(x: Tensor, { size, channels }: Pick<Options, 'size' | 'channels'>): number {
  const [N, H, W, C] = images(x.shape, 'amdimEncoder: x')
  if (H !== size || W !== size || C !== channels)
    throw new ShapeError(
      `amdimEncoder: images must be [N, ${size}, ${size}, ${channels}], got ${show(x.shape)}`,
    )
  return N
}

/** The numbers of one image's largest map, those of images and heads included. */
const largestMap = ({ size, channels, features }: Options, layers: readonly Made[]): number =>
  Math.max(
    size * size * channels,
    49 * features,
    ...layers.map((made) => made.side * made.side * made.channels),
  )

/** Makes AMDIM's encoder: images [N, size, size, C] -> r1 [N, R]; `scales` returns r5 and r7 too.
 *  Parameters have the authors' names. The table lists the layers with the sides of their maps. A
 *  layer has a kernel and, after s, a stride; c is the width; a block has `depth` layers.
 *
 *  | layer | channels | 32 px | 64 px | 128 px |
 *  | --- | --- | --- | --- | --- |
 *  | convolution 5 s2, reflected | c | | | 64 |
 *  | convolution 3 | c | 30 | 62 | 62 |
 *  | residual 1 | c | 30 | | |
 *  | block 4 s2 | 2c | 14 | 30 | 30 |
 *  | block 4 s2 | 4c | | 14 | 14 |
 *  | block 2 s2 | 4c, 8c from 64 px on | 7 | 7 | 7 |
 *  | norm with `batchNorm` -> head -> r7 | same | 7 | 7 | 7 |
 *  | block 3 -> head -> r5 | same | 5 | 5 | 5 |
 *  | block 3 | same | 3 | 3 | 3 |
 *  | residual 3 | R | 1 | 1 | 1 |
 *  | norm, always -> r1 | R | 1 | 1 | 1 |
 *
 *  r7 and r5 are read after the last layer whose map has that side. Every residual branch starts at
 *  zero: at first the blocks only pool by averages and add channels of zeros. Throws RangeError for
 *  sizes whose maps miss 7, 5 or 1, and for fewer features than the last map has channels. */
export function amdimEncoder(gpu: Gpu, given: AmdimEncoderOptions): AmdimEncoder {
  checkGpu('amdimEncoder', gpu)
  const options: Options = {
    ...{ width: 128, features: 1024, depth: 3, channels: 3, batchNorm: false, seed: 0 },
    ...checkOptions('amdimEncoder', given ?? {}, rules),
  }
  const { size, width, features: R, depth, channels } = options
  checkSizes('amdimEncoder', { size, width, features: R, depth, channels })
  const build = new LayerBuilder(gpu, options.seed)
  const layers = stacked(build, options)
  const [last7, last5] = [lastOf(layers, 7, size), lastOf(layers, 5, size)]
  const head5 = head(build, 'rkhs_block_5', [last5.channels, R], options)
  const head7 = head(build, 'rkhs_block_7', [last7.channels, R], options)

  /** Runs all layers -> [N, R]. Calls `seen` with the map of each. */
  const through = (x: Tensor, mode: Mode, seen: (made: Made, h: Tensor) => void): Tensor => {
    const N = countOf(x, options)
    let h = x
    for (const made of layers) {
      h = made.layer(h, mode)
      seen(made, h)
    }
    return reshape(h, [N, R])
  }
  const largest = largestMap(options, layers)
  return printedModel('amdimEncoder', {
    mostImages: Math.floor(gpu.device.limits.maxStorageBufferBindingSize / (4 * largest)),
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
  })
}
