// Residual networks (He et al. 2016, https://arxiv.org/abs/1512.03385) without the classifier:
// images [N, H, W, C] -> features h [N, F]. As in torchvision, the 3x3 convolution of a bottleneck
// has the stride.

import { globalAvgPool } from '../kernels/pool/global-avg-pool.ts'
import { maxPool } from '../kernels/pool/max-pool.ts'
import { anything, checkOptions, count, describe, flag, oneOf } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LayerBuilder } from './layers.ts'
import { type ResidualBlock, basic, bottleneck, stagesOf } from './residual-blocks.ts'
import { type Layer, type Model, checkGpu, checkedForward, printedModel } from './model.ts'

/** Options of the ResNets. */
export interface ResNetOptions {
  /** 'cifar', the default: 3x3 stride 1 without a pool, for images of about 32 px (SimCLR B.9).
   *  'imagenet': 7x7 stride 2 and a max-pool. */
  readonly stem?: 'cifar' | 'imagenet'
  /** Channels of the first stage; the paper's 64 by default. Later stages have 2, 4 and 8 times as
   *  many. */
  readonly width?: number
  /** C, the channels of the images; 3 by default. */
  readonly channels?: number
  /** True sets the scale of each residual branch's last norm to 0 at first, as
   *  google-research/simclr does; false by default. */
  readonly zeroInitResidual?: boolean
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** Makes a ResNet-8: images [N, H, W, C] -> features [N, 4 width]. It is the smallest of the
 *  paper's CIFAR family (section 4.2 with n = 1, where the width is 16), for CPUs and images of
 *  about 32 px. Throws RangeError for a wrong width. */
export const resnet8 = (gpu: Gpu, options: ResNetOptions = {}) =>
  resnet('resnet8', gpu, [1, 1, 1], basic, options)
/** Makes a ResNet-18: images [N, H, W, C] -> features [N, 8 width]. Throws RangeError for a wrong
 *  width. */
export const resnet18 = (gpu: Gpu, options: ResNetOptions = {}) =>
  resnet('resnet18', gpu, [2, 2, 2, 2], basic, options)
/** Makes a ResNet-34: images [N, H, W, C] -> features [N, 8 width]. Throws RangeError for a wrong
 *  width. */
export const resnet34 = (gpu: Gpu, options: ResNetOptions = {}) =>
  resnet('resnet34', gpu, [3, 4, 6, 3], basic, options)
/** Makes a ResNet-50: images [N, H, W, C] -> features [N, 32 width]. Throws RangeError for a wrong
 *  width. */
export const resnet50 = (gpu: Gpu, options: ResNetOptions = {}) =>
  resnet('resnet50', gpu, [3, 4, 6, 3], bottleneck, options)

const rules = {
  stem: oneOf('cifar', 'imagenet'),
  width: anything,
  channels: count,
  zeroInitResidual: flag,
  seed: seedRule,
}

function resnet(
  name: string,
  gpu: Gpu,
  depths: readonly number[],
  block: ResidualBlock,
  options: ResNetOptions,
): Model {
  checkGpu(name, gpu)
  const {
    stem = 'cifar',
    width = 64,
    channels = 3,
    zeroInitResidual = false,
    seed = 0,
  } = checkOptions(name, options, rules)
  if (!Number.isInteger(width) || width < 1)
    throw new RangeError(
      `resnet: width must be a whole number of channels from 1 on, got ${describe(width)}`,
    )
  const build = new LayerBuilder(gpu, seed)
  const first = stemOf(build, stem, [channels, width])
  const { layers, channels: C } = stagesOf(build, { block, depths, width, zero: zeroInitResidual })
  return printedModel(name, {
    parameters: build.parameters,
    norms: build.norms,
    features: C,
    forward: checkedForward(name, (x, mode) =>
      globalAvgPool(layers.reduce((h, layer) => layer(h, mode), first(x, mode))),
    ),
  })
}

function stemOf(
  build: LayerBuilder,
  stem: 'cifar' | 'imagenet',
  sizes: readonly [C: number, K: number],
): Layer {
  const shape = stem === 'cifar' ? { size: 3 } : { size: 7, stride: 2 }
  const first = build.convNorm(['conv1', 'bn1'], sizes, shape)
  const convolved: Layer = (x, mode) => first(x, mode, { relu: true })
  if (stem === 'cifar') return convolved
  return (x, mode) => maxPool(convolved(x, mode), { size: 3, stride: 2, padding: 1 })
}
