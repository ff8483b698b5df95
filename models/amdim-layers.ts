// The layers of AMDIM's encoder (Bachman, Hjelm and Buchwalter 2019,
// https://arxiv.org/abs/1906.00910, section 4), and the sizes of their maps.

import { add } from '../kernels/elementwise/add.ts'
import { addPooled } from '../kernels/pool/add-pooled.ts'
import { conv2d } from '../kernels/conv/conv2d.ts'
import { relu } from '../kernels/elementwise/relu.ts'
import { residualUnit } from '../kernels/conv/residual-unit.ts'
import type { LayerBuilder } from './layers.ts'
import type { Layer } from './model.ts'

/** A layer: how to make it, and what it does to a map's side and channels. */
interface Step {
  readonly make: (build: LayerBuilder, name: string, shape: Shape, options: Options) => Layer
  readonly kernel: number
  readonly stride: number
  /** Pixels of reflection padding; 0 by default. */
  readonly reflect?: number
  /** Channels of the output, in widths; 'features' is R. By default those of the input. */
  readonly channels?: number | 'features'
}

/** Channels in and out, and the window of a layer. */
interface Shape {
  readonly C: number
  readonly K: number
  readonly kernel: number
  readonly stride: number
  readonly reflect: number
}

/** The encoder's options that decide the sizes of its maps. */
interface Sizes {
  readonly size: number
  readonly width: number
  readonly features: number
  readonly channels?: number
}

/** The encoder's options that decide its layers. */
interface Options extends Sizes {
  readonly depth: number
  readonly batchNorm: boolean
}

/** Convolution, bias, ReLU. */
const convolution = (kernel: number, stride = 1, reflect = 0): Step => ({
  ...{ kernel, stride, reflect, channels: 1 },
  make(build, name, { C, K, kernel: size }) {
    const window = { size, stride, padding: reflect, padMode: 'reflect' } as const
    const conv = build.conv(`${name}.conv`, [C, K], { ...window, bias: true, init: 'torch' })
    return (x, mode) => relu(conv(x, mode))
  },
})

/** conv2(ReLU(norm(conv1 x))) + x. conv2 is 1 x 1 and starts at zero. Where the shapes differ, x is
 *  pooled and gets channels of zeros. Nothing follows the sum. */
const residual = (kernel: number, stride: number, channels: number | 'features'): Step => ({
  ...{ kernel, stride, channels },
  make: residualLayer,
})

function residualLayer(
  build: LayerBuilder,
  name: string,
  { C, K, kernel: size, stride }: Shape,
  { batchNorm }: Options,
): Layer {
  const { w: w1 } = build.filters(`${name}.conv1`, [C, K], { size, init: 'torch' })
  const norm = build.norm(`${name}.bn1.bn`, K)
  const { w: w2 } = build.filters(`${name}.conv2`, [K, K], { size: 1, init: 'zero' })
  if (!batchNorm) return (x) => residualUnit(x, w1, w2, { stride })
  const same = size === 1 && C === K
  return (x, mode) => {
    const h = norm(conv2d(x, w1, { stride }), mode, { relu: true })
    const branch = conv2d(h, w2)
    return same ? add(branch, x) : addPooled(branch, x, { size, stride })
  }
}

/** `depth` residual layers. The first has the kernel and the stride, the others are 1 x 1. */
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

/** Lists the layers for a size of image: up to 48 px, up to 96 px, or above. */
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

/** Sizes of which no encoder can be made. */
export class AmdimSizeError extends RangeError {
  /** The option to change. */
  readonly option: 'size' | 'features'
  readonly reason: string

  constructor(option: 'size' | 'features', reason: string) {
    super(`amdimEncoder: ${reason}`)
    this.option = option
    this.reason = reason
  }
}

/** Computes the side and the channels of each layer's map, without the heads. Builds nothing.
 *  Throws AmdimSizeError for fewer features than the last map has channels, and where the maps miss
 *  a side of 7, 5 or 1. */
export function amdimMaps({ size, width, features, channels: first = 3 }: Sizes) {
  let [side, C] = [size, first]
  const maps = layersFor(size).map((step) => {
    const { channels, kernel, stride, reflect = 0 } = step
    const K = channels === undefined ? C : channels === 'features' ? features : channels * width
    if (channels === 'features' && K < C)
      throw new AmdimSizeError(
        'features',
        `features must be at least the ${C} channels of the last map, got ${features}`,
      )
    side = Math.floor((side + 2 * reflect - kernel) / stride) + 1
    const map = { step, side, shape: { C, K, kernel, stride, reflect } }
    C = K
    return map
  })
  for (const reached of [7, 5]) lastOf(maps, reached, size)
  if (side !== 1) throw missed(maps, size)
  return maps
}

interface Sided {
  readonly side: number
}

/** Returns the last map with this side. Throws RangeError when there is none. */
export function lastOf<M extends Sided>(maps: readonly M[], side: number, size: number): M {
  const found = maps.findLast((map) => map.side === side)
  if (!found) throw missed(maps, size)
  return found
}

const missed = (maps: readonly Sided[], size: number) =>
  new AmdimSizeError(
    'size',
    `maps must reach sides of 7, 5 and 1, got ${maps.map((map) => map.side).join(', ')} for images of ${size} px; use 32, 64 or 128`,
  )

/** A layer, and the side and the channels of its map. */
export interface Made extends Sided {
  readonly layer: Layer
  readonly channels: number
}

/** Makes all layers but the heads. Throws like `amdimMaps`. */
export const stacked = (build: LayerBuilder, options: Options): Made[] =>
  amdimMaps(options).map(({ step, side, shape }, i) => ({
    layer: step.make(build, `layer_list.${i}`, shape, options),
    side,
    channels: shape.K,
  }))
