// AMDIM's encoder (Bachman, Hjelm and Buchwalter 2019, https://arxiv.org/abs/1906.00910, section 4; model.py of its code): a
// residual network without padding, so that features of different places see different pixels, read off at three scales.

import { type Tensor, ShapeError, images, show } from '../kernels/op.ts'
import { add } from '../kernels/add.ts'
import { addPooled } from '../kernels/add-pooled.ts'
import { relu } from '../kernels/relu.ts'
import { reshape } from '../kernels/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder, type Layer, type Mode, type Model } from './layers.ts'

export interface AmdimEncoderOptions {
  /** Side of the images in pixels: 32, 64 or 128, or another that reaches maps of 7, 5 and 1. */
  readonly size: number
  /** Channels of the first layer, the authors' ndf: 128, or 256 in their large models. */
  readonly width?: number
  /** R, size of the features at every scale, the authors' n_rkhs: 1024, or 2048. */
  readonly features?: number
  /** Layers of each residual block, the authors' n_depth. */
  readonly depth?: number
  /** Whether the residual branches are normalised. Their norms are parameters either way, as in the authors' code. */
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

/** What a layer does to the size of a map and to its channels. */
interface Step {
  readonly make: (build: Builder, name: string, shape: Shape, options: Options) => Layer
  readonly kernel: number
  readonly stride: number
  /** Pixels of reflection around the map. */
  readonly reflect?: number
  /** Channels that come out, in widths; 'features' for R, none for as many as go in. */
  readonly channels?: number | 'features'
}

interface Shape {
  readonly C: number
  readonly K: number
  readonly kernel: number
  readonly stride: number
  readonly reflect: number
}

type Options = Required<AmdimEncoderOptions>

/** Convolution, bias, ReLU. */
const convolution = (kernel: number, stride = 1, reflect = 0): Step => ({
  ...{ kernel, stride, reflect, channels: 1 },
  make(build, name, { C, K, kernel: size }) {
    const conv = build.unpadded(`${name}.conv`, [C, K], { size, stride, reflect, bias: true })
    return (x, mode) => relu(conv(x, mode))
  },
})

/** conv2(ReLU(norm(conv1 x))) with a 1 x 1 conv2 that begins at zero, plus x, pooled and with channels of zeros where its shape
 *  differs. Nothing after the sum. */
const residual = (kernel: number, stride: number, channels: number | 'features'): Step => ({
  ...{ kernel, stride, channels },
  make: residualLayer,
})

function residualLayer(
  build: Builder,
  name: string,
  { C, K, kernel: size, stride }: Shape,
  { batchNorm }: Options,
): Layer {
  const conv1 = build.unpadded(`${name}.conv1`, [C, K], { size, stride })
  const norm = build.norm(`${name}.bn1.bn`, K)
  const conv2 = build.unpadded(`${name}.conv2`, [K, K], { init: 'zero' })
  const same = size === 1 && C === K
  return (x, mode) => {
    const h = conv1(x, mode)
    const branch = conv2(batchNorm ? norm(h, mode, { relu: true }) : relu(h), mode)
    return same ? add(branch, x) : addPooled(branch, x, { size, stride })
  }
}

/** `depth` residual layers, the first of which has the kernel and the stride, the others 1 x 1. */
const block = (kernel: number, stride: number, channels: number): Step => ({
  ...{ kernel, stride, channels },
  make(build, name, shape, options) {
    const pointwise = { ...shape, C: shape.K, kernel: 1, stride: 1 }
    const layers = Array.from({ length: options.depth }, (_, i) =>
      residualLayer(build, `${name}.layer_list.${i}`, i === 0 ? shape : pointwise, options),
    )
    return (x, mode) => layers.reduce((h, layer) => layer(h, mode), x)
  },
})

const optionalNorm: Step = {
  ...{ kernel: 1, stride: 1 },
  make(build, name, { C }, { batchNorm }) {
    const norm = build.norm(`${name}.bn`, C)
    return (x, mode) => (batchNorm ? norm(x, mode) : x)
  },
}

const norm: Step = {
  ...{ kernel: 1, stride: 1 },
  make: (build, name, { C }) => build.norm(`${name}.bn`, C),
}

/** The layers for images up to 48 px, up to 96, and above. */
function layersFor(size: number): readonly Step[] {
  const end = (width: number): Step[] => [
    block(2, 2, width),
    optionalNorm,
    block(3, 1, width),
    block(3, 1, width),
    residual(3, 1, 'features'),
    norm,
  ]
  if (size <= 48) return [convolution(3), residual(1, 1, 1), block(4, 2, 2), ...end(4)]
  const middle = [convolution(3), block(4, 2, 2), block(4, 2, 4), ...end(8)]
  return size <= 96 ? middle : [convolution(5, 2, 2), ...middle]
}

/** 1 x 1 layers on a map, into the space where scores are taken: a residual branch and a linear path that begins near the identity,
 *  into one norm. */
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

/** AMDIM's encoder, images [N, size, size, 3] -> r1 [N, R], with r5 and r7 beside it (`scales`), by the authors' names. The layers
 *  (kernel and stride; c is the width; blocks have `depth` layers), and the sides of the maps:
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
 *  r7 and r5 are read after the last layer whose map has that side. At the start every branch is zero, so that after the
 *  convolutions the network is average pooling, with channels of zeros. Throws RangeError for sizes whose maps miss 7, 5 or 1, and
 *  for too few features. */
export function amdimEncoder(gpu: Gpu, given: AmdimEncoderOptions): AmdimEncoder {
  const options: Options = {
    ...{ width: 128, features: 1024, depth: 3, batchNorm: false, seed: 0 },
    ...given,
  }
  const { size, features: R } = options
  check(options)
  const build = new Builder(gpu, options.seed)
  const layers = stacked(build, options)
  const sides = layers.map((l) => l.side)
  const [last7, last5] = [7, 5].map((side) => layers[sides.lastIndexOf(side)])
  if (!last7 || !last5 || sides.at(-1) !== 1)
    throw new RangeError(
      `amdimEncoder: maps must reach sides of 7, 5 and 1, got ${sides.join(', ')} for images of ${size} px; use 32, 64 or 128`,
    )
  const head5 = head(build, 'rkhs_block_5', [last5.channels, R], options)
  const head7 = head(build, 'rkhs_block_7', [last7.channels, R], options)

  /** The last map, [N, 1, 1, R], and those that `seen` is told of on the way. */
  const through = (x: Tensor, mode: Mode, seen: (made: Made, h: Tensor) => void): Tensor => {
    const [N, H, W] = images(x.shape, 'amdimEncoder: x')
    if (H !== size || W !== size)
      throw new ShapeError(`amdimEncoder: images must have ${size} x ${size} pixels, got ${show(x.shape)}`)
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
    forward: (x, mode) => through(x, mode, () => {}),
    scales(x, mode) {
      const maps = new Map<Made, Tensor>()
      const r1 = through(x, mode, (made, h) => maps.set(made, h))
      return { r1, r5: head5(maps.get(last5) ?? x, mode), r7: head7(maps.get(last7) ?? x, mode) }
    },
  }
}

/** A layer, and the side and the channels of the map that it gives. */
interface Made {
  readonly layer: Layer
  readonly side: number
  readonly channels: number
}

/** All layers but the heads. */
function stacked(build: Builder, options: Options): Made[] {
  const { size, width, features } = options
  let [side, C] = [size, 3]
  return layersFor(size).map((step, i) => {
    const { channels, kernel, stride, reflect = 0 } = step
    const K = channels === undefined ? C : channels === 'features' ? features : channels * width
    if (channels === 'features' && K < C)
      throw new RangeError(
        `amdimEncoder: features must be at least the ${C} channels of the last map, got ${features}`,
      )
    const layer = step.make(build, `layer_list.${i}`, { C, K, kernel, stride, reflect }, options)
    side = Math.floor((side + 2 * reflect - kernel) / stride) + 1
    C = K
    return { layer, side, channels: K }
  })
}

function check({ size, width, features, depth }: Options) {
  for (const [name, value] of Object.entries({ size, width, features, depth }))
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`amdimEncoder: ${name} must be a whole number from 1 on, got ${value}`)
}
