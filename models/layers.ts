// The layers of models. Each is made by a method that creates named parameters and returns a
// forward.

import { type Variable, sizeOf } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { batchNorm } from '../kernels/norm/batch-norm.ts'
import { convNorm } from '../kernels/conv/conv-norm.ts'
import { conv2d } from '../kernels/conv/conv2d.ts'
import { linear } from '../kernels/matmul/linear.ts'
import {
  checkOptions,
  checkValue,
  count,
  flag,
  notNegative,
  oneOf,
  whole,
} from '../kernels/options.ts'
import { countUp } from '../engine/counter.ts'
import type { Gpu } from '../engine/gpu.ts'
import { nameVariables } from '../engine/names.ts'
import { normal, uniform } from '../engine/random.ts'
import { type Layer, type Mode, type Norm, type NormState, checkGpu, checkMode } from './model.ts'

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
  /** Pixels of reflection padding; 0 by default. */
  readonly reflect?: number
  readonly bias?: boolean
  readonly init?: 'uniform' | 'zero' | 'identity'
}

/** The weights of a convolution. */
interface Weights<Bias> {
  readonly w: Variable
  readonly b: Bias
}

/** Makes layers and collects their parameters. Each method takes the layer's name and returns its
 *  forward. Initial values depend on (seed, name) alone. Every method throws Error for a name that
 *  is used twice. */
export class Builder {
  readonly gpu: Gpu
  /** Parameters of all layers made so far, by name. */
  readonly parameters: Record<string, Variable> = {}
  /** Running statistics of all batch norms made so far, by name. */
  readonly norms: Record<string, NormState> = {}
  readonly #seed: number

  /** Starts an empty model. Throws TypeError for a seed that is not a whole number. */
  constructor(gpu: Gpu, seed: number) {
    checkGpu('Builder', gpu)
    checkValue('Builder', 'seed', seed, whole)
    this.gpu = gpu
    this.#seed = seed
  }

  /** Makes a convolution of C channels to K without bias, weight [size, size, C, K] from
   *  N(0, 2 / fan_out) as in torchvision's ResNet (He et al. 2015, mode 'fan_out'). `size` is 3 and
   *  `stride` 1 by default; an odd size keeps the image's size at stride 1. */
  conv(name: string, [C, K]: readonly [number, number], options: Sizes = {}): Layer {
    const { size = 3, stride = 1 } = checkOptions('Builder.conv', options, sizeRules)
    const w = this.#filters(name, [size, size, C, K])
    return (x) => conv2d(x, w, { stride, padding: keeping(size) })
  }

  /** Makes a convolution as `conv` does and a batch norm of its output as `norm` does, as one op.
   *  Each has its own name. */
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

  /** Makes a convolution of C channels to K as torch does by default: weights and bias from
   *  U(-1/√fan_in, 1/√fan_in), no zero padding. `size` is 1 by default. `init: 'zero'` sets the
   *  weights to 0. `init: 'identity'`, for size 1, draws them from U(-0.01, 0.01) and sets those
   *  from each channel to itself to 1. `bias` is false by default. */
  unpadded(name: string, shape: readonly [number, number], options: Unpadded = {}): Layer {
    const { stride = 1, reflect = 0 } = checkOptions('Builder.unpadded', options, unpaddedRules)
    const { w, b } = this.unpaddedWeights(name, shape, options)
    const convolved: Layer = (x) => conv2d(x, w, { stride, padding: reflect, padMode: 'reflect' })
    return b ? (x, mode) => add(convolved(x, mode), b) : convolved
  }

  /** Makes the weights of `unpadded` alone, w [size, size, C, K] and b [K], which is null unless
   *  `bias` is true: for an op of several layers, such as `residualUnit`. */
  unpaddedWeights<O extends Unpadded>(
    name: string,
    [C, K]: readonly [number, number],
    options?: O,
  ): Weights<O extends { readonly bias: true } ? Variable : Variable | null>
  unpaddedWeights(
    name: string,
    [C, K]: readonly [number, number],
    options: Unpadded = {},
  ): Weights<Variable | null> {
    const checked = checkOptions('Builder.unpaddedWeights', options, unpaddedRules)
    const { size = 1, bias = false, init = 'uniform' } = checked
    const shape = [size, size, C, K]
    const bound = 1 / Math.sqrt(size * size * C)
    const range = { uniform: bound, zero: 0, identity: 0.01 }[init]
    const stream = `${name}.weight`
    const values = uniform(this.#seed, stream, sizeOf(shape), -range, range)
    if (init === 'zero') values.fill(0) // not -0
    if (init === 'identity') for (let c = 0; c < Math.min(C, K); c++) values[c * K + c] = 1
    const w = this.#parameter(stream, values, shape)
    const biases = () => uniform(this.#seed, `${name}.bias`, K, -bound, bound)
    return { w, b: bias ? this.#parameter(`${name}.bias`, biases(), [K]) : null }
  }

  /** Makes a batch norm of C channels, momentum 0.1 and eps 1e-5 as in torch. The scale starts at
   *  1, with `zero` at 0; the shift starts at 0. `scale: false` and `shift: false` keep them
   *  constant, and out of the parameters. */
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

  /** Makes a linear layer of C features to K, weight [K, C] and, unless `bias` is false, bias [K].
   *  Both start from torch's default U(-1/√C, 1/√C). `std` draws the weight from N(0, std²)
   *  instead. */
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

  /** Returns a batch norm's running statistics and how it normalises. Counts the batch in
   *  training. */
  #follow(name: string, state: NormState, mode: Mode) {
    const { training, tracking = true, splits = 1, batches = 1 } = checkMode(name, mode)
    if (training && tracking) countUp(this.gpu, state, 'batches', batches)
    const running = training && !tracking ? null : state
    return { running, how: { training, ...(training && { splits, batches }) } }
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
    nameVariables({ [`${name}.running_mean`]: mean, [`${name}.running_var`]: variance })
    return { gamma, beta, state }
  }

  #parameter(name: string, values: Float32Array, shape: readonly number[]): Variable {
    if (Object.hasOwn(this.parameters, name)) throw usedTwice(name)
    const made = (this.parameters[name] = this.gpu.variable(values, shape))
    nameVariables({ [name]: made })
    return made
  }
}

const usedTwice = (name: string) =>
  new Error(
    `Builder: the name ${name} is used twice, which would lose the first layer's parameters; give each layer a name of its own`,
  )

const sizeRules = { size: count, stride: count }
const unpaddedRules = {
  ...sizeRules,
  ...{ reflect: whole, bias: flag, init: oneOf('uniform', 'zero', 'identity') },
}

/** Pixels of padding that keep an image's size under an odd kernel at stride 1. */
const keeping = (size: number) => (size - 1) / 2
