// The layers that models are made of: a function that makes named parameters and returns a forward.

import { type Tensor, type Variable, sizeOf } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { type Running, batchNorm } from '../kernels/norm/batch-norm.ts'
import { convNorm } from '../kernels/conv/conv-norm.ts'
import { conv2d } from '../kernels/conv/conv2d.ts'
import { linear } from '../kernels/matmul/linear.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  checkValue,
  describe,
  count,
  flag,
  onGpu,
  needed,
  notNegative,
  oneOf,
  whole,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { normal, uniform } from '../engine/random.ts'

/** Whether batch norm uses and updates the batch's statistics (training) or the running ones. */
export interface Mode {
  readonly training: boolean
  /** In training, over how many groups of the batch it takes them; 1 by default. */
  readonly splits?: number
  /** False to train without moving running statistics and their counts: for a second pass over the
   *  same images. */
  readonly tracking?: boolean
  /** Which pass of a step this is, from 0: another one for each view, and chunk, of a method's
   *  batch. What draws random numbers makes its stream of it. */
  readonly pass?: number
}

const modeRules = { training: needed(flag), splits: anything, tracking: flag, pass: whole }

/** Throws TypeError, in the name of `owner`, unless this is a mode. */
export const checkMode = (owner: string, mode: Mode): Mode => {
  if (typeof mode !== 'object' || mode === null)
    throw new TypeError(
      `${owner}: the mode must be { training: true } to train, or { training: false } to evaluate, got ${describe(mode)}`,
    )
  return checkOptions(owner, mode, modeRules)
}

/** The forward of a model, whose arguments are checked. */
export const checkedForward =
  (owner: string, forward: Layer): Layer =>
  (x, mode) => {
    checkTensor(`${owner}.forward`, 'x', x)
    return forward(x, checkMode(`${owner}.forward`, mode))
  }

/** Throws TypeError, in the name of `owner`, unless this is a Gpu. */
export const checkGpu = (owner: string, gpu: Gpu) => checkValue(owner, 'gpu', gpu, onGpu)

export type Layer = (x: Tensor, mode: Mode) => Tensor

/** A batch norm, and what may follow it in the same pass over the images: adding a residual, and
 *  ReLU. */
export type Norm = (
  x: Tensor,
  mode: Mode,
  then?: { readonly residual?: Tensor; readonly relu?: boolean },
) => Tensor

/** A network: its parameters by torchvision's names, its batch-norm statistics by layer, and its
 *  forward. */
export interface Model {
  readonly parameters: Readonly<Record<string, Variable>>
  readonly norms: Readonly<Record<string, NormState>>
  /** Size of each output row. */
  readonly features: number
  readonly forward: Layer
}

/** Running statistics of one batch norm, and how many batches they have seen. */
export interface NormState extends Running {
  batches: number
}

interface Sizes {
  readonly size?: number
  readonly stride?: number
}

interface Scaling {
  readonly zero?: boolean
  readonly scale?: boolean
  readonly shift?: boolean
}

interface Affine {
  readonly bias?: boolean
  readonly std?: number
}

interface Unpadded extends Sizes {
  /** Pixels of the mirror image around it. */
  readonly reflect?: number
  readonly bias?: boolean
  readonly init?: 'uniform' | 'zero' | 'identity'
}

/** Collects a model's parameters while its layers are made. Initial values depend only on (seed,
 *  name). */
export class Builder {
  readonly gpu: Gpu
  readonly parameters: Record<string, Variable> = {}
  readonly norms: Record<string, NormState> = {}
  readonly #seed: number

  /** Throws TypeError for a seed that is no whole number. */
  constructor(gpu: Gpu, seed: number) {
    checkGpu('Builder', gpu)
    checkValue('Builder', 'seed', seed, whole)
    this.gpu = gpu
    this.#seed = seed
  }

  /** A convolution without bias, weight [k, k, in, out] drawn from N(0, 2 / fan_out) as
   *  torchvision's ResNet (He et al. 2015, mode 'fan_out'). */
  conv(name: string, [C, K]: readonly [number, number], options: Sizes = {}): Layer {
    const { size = 3, stride = 1 } = checkOptions('Builder.conv', options, sizeRules)
    const w = this.#filters(name, [size, size, C, K])
    return (x) => conv2d(x, w, { stride, padding: keeping(size) })
  }

  /** A convolution as `conv` makes it, and over its channels a batch norm as `norm` makes it, named
   *  each, as one op. */
  convNorm(
    [conv, norm]: readonly [conv: string, norm: string],
    [C, K]: readonly [number, number],
    options: Sizes & { readonly zero?: boolean } = {},
  ): Norm {
    const rules = { ...sizeRules, zero: flag }
    const { size = 3, stride = 1, zero = false } = checkOptions('Builder.convNorm', options, rules)
    const w = this.#filters(conv, [size, size, C, K])
    const { gamma, beta, state } = this.#scales(norm, K, { zero, scale: true, shift: true })
    return (x, mode, then) => {
      const { running, how } = this.#follow(norm, state, mode)
      return convNorm(x, w, gamma, beta, running, {
        stride,
        padding: keeping(size),
        ...how,
        ...then,
      })
    }
  }

  /** A convolution as torch makes one by default: weights and bias from U(-1/√fan_in, 1/√fan_in),
   *  no padding. `init` may instead be zero, or 'identity' (of a 1x1): U(-0.01, 0.01), and 1 from
   *  each channel to itself. */
  unpadded(name: string, [C, K]: readonly [number, number], options: Unpadded = {}): Layer {
    const checked = checkOptions('Builder.unpadded', options, unpaddedRules)
    const { size = 1, stride = 1, reflect = 0, bias = false, init = 'uniform' } = checked
    const shape = [size, size, C, K]
    const bound = 1 / Math.sqrt(size * size * C)
    const range = { uniform: bound, zero: 0, identity: 0.01 }[init]
    const stream = `${name}.weight`
    const values = uniform(this.#seed, stream, sizeOf(shape), -range, range)
    if (init === 'zero') values.fill(0) // not -0
    if (init === 'identity') for (let c = 0; c < Math.min(C, K); c++) values[c * K + c] = 1
    const w = this.#parameter(stream, values, shape)
    const convolved: Layer = (x) => conv2d(x, w, { stride, padding: reflect, padMode: 'reflect' })
    if (!bias) return convolved
    const b = this.#parameter(
      `${name}.bias`,
      uniform(this.#seed, `${name}.bias`, K, -bound, bound),
      [K],
    )
    return (x, mode) => add(convolved(x, mode), b)
  }

  /** A batch norm over C channels, scale 1 (or 0) and shift 0; momentum 0.1 and eps 1e-5 as torch.
   *  `scale: false` leaves the scale at 1, `shift: false` the shift at 0, and out of the
   *  parameters. */
  norm(name: string, C: number, options: Scaling = {}): Norm {
    const rules = { zero: flag, scale: flag, shift: flag }
    const {
      zero = false,
      scale = true,
      shift = true,
    } = checkOptions('Builder.norm', options, rules)
    const { gamma, beta, state } = this.#scales(name, C, { zero, scale, shift })
    return (x, mode, then) => {
      const { running, how } = this.#follow(name, state, mode)
      return batchNorm(x, gamma, beta, running, { ...how, ...then })
    }
  }

  /** A linear layer, weight [out, in]; torch's default initial values U(-1/√in, 1/√in), or N(0,
   *  std²) when `std` is given. */
  linear(name: string, [C, K]: readonly [number, number], options: Affine = {}): Layer {
    const { bias = true, std = 0 } = checkOptions('Builder.linear', options, {
      bias: flag,
      std: notNegative,
    })
    const bound = 1 / Math.sqrt(C)
    const stream = `${name}.weight`
    const values =
      std > 0
        ? normal(this.#seed, stream, C * K, std)
        : uniform(this.#seed, stream, C * K, -bound, bound)
    const w = this.#parameter(stream, values, [K, C])
    if (!bias) return (x) => linear(x, w)
    const b = this.#parameter(
      `${name}.bias`,
      uniform(this.#seed, `${name}.bias`, K, -bound, bound),
      [K],
    )
    return (x) => linear(x, w, b)
  }

  /** The running statistics that a batch norm uses or moves, and how it normalises. */
  #follow(name: string, state: NormState, mode: Mode) {
    const { training, tracking = true, splits = 1 } = checkMode(name, mode)
    if (training && tracking) this.gpu.everyStep(() => state.batches++)
    const running = training && !tracking ? null : state
    return { running, how: { training, splits: training ? splits : 1 } }
  }

  #filters(name: string, shape: readonly [number, number, number, number]): Variable {
    const [kH, kW, , K] = shape
    const values = normal(this.#seed, `${name}.weight`, sizeOf(shape), Math.sqrt(2 / (kH * kW * K)))
    return this.#parameter(`${name}.weight`, values, shape)
  }

  #scales(
    name: string,
    C: number,
    {
      zero,
      scale,
      shift,
    }: { readonly zero: boolean; readonly scale: boolean; readonly shift: boolean },
  ) {
    const ones = new Float32Array(C).fill(zero ? 0 : 1)
    const gamma = scale
      ? this.#parameter(`${name}.weight`, ones, [C])
      : this.gpu.variable(ones, [C])
    const zeros = new Float32Array(C)
    const beta = shift ? this.#parameter(`${name}.bias`, zeros, [C]) : this.gpu.variable(zeros, [C])
    const mean = this.gpu.variable(zeros, [C])
    const variance = this.gpu.variable(new Float32Array(C).fill(1), [C])
    const state: NormState = { mean, variance, batches: 0 }
    if (Object.hasOwn(this.norms, name)) throw usedTwice(name)
    this.norms[name] = state
    return { gamma, beta, state }
  }

  #parameter(name: string, values: Float32Array, shape: readonly number[]): Variable {
    if (Object.hasOwn(this.parameters, name)) throw usedTwice(name)
    return (this.parameters[name] = this.gpu.variable(values, shape))
  }
}

const usedTwice = (name: string) =>
  new Error(
    `Builder: the name ${name} is used twice, so that the first layer's would be lost; give each layer a name of its own`,
  )

const sizeRules = { size: count, stride: count }
const unpaddedRules = {
  ...sizeRules,
  ...{ reflect: whole, bias: flag, init: oneOf('uniform', 'zero', 'identity') },
}

const keeping = (size: number) => (size - 1) / 2 // pixels of padding: an odd kernel then keeps the size at stride 1
