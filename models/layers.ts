// The layers of models. Each is made by a method that creates named parameters and returns a
// forward.

import { type Variable, sizeOf } from '../kernels/op.ts'
import { batchNorm } from '../kernels/norm/batch-norm.ts'
import { convNorm } from '../kernels/conv/conv-norm.ts'
import { conv2d } from '../kernels/conv/conv2d.ts'
import { linear } from '../kernels/matmul/linear.ts'
import {
  checkOptions,
  checkValue,
  count,
  counts,
  flag,
  notNegative,
  text,
} from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { countUp } from '../engine/counter.ts'
import type { Gpu } from '../engine/gpu.ts'
import { nameVariables } from '../engine/names.ts'
import { owns } from '../engine/owned.ts'
import { normal, uniform } from '../engine/random.ts'
import { type ConvWeights, type Filling, convWeights, twoCounts } from './conv-weights.ts'
import { initialMatrix } from './initial.ts'
import {
  type Affine,
  type Filters,
  type NormScaling,
  type LayerWindow,
  fillingRules,
  filterRules,
  twoNames,
  usedTwice,
  windowRules,
} from './layer-options.ts'
import {
  type ConvNorm,
  type Layer,
  type Mode,
  type Norm,
  type NormState,
  checkGpu,
  checkMode,
} from './model.ts'
import { keeping } from './window-sizes.ts'

/** Makes the layers of ResNets and of their heads, and collects their parameters. Each method takes
 *  the layer's name and returns its forward. Initial values depend on (seed, name) alone. Every
 *  method throws Error for a name that is used twice. `Builder` (builder.ts) has more layers, which
 *  a page that trains a ResNet does not carry. */
export class LayerBuilder {
  readonly gpu: Gpu
  /** Parameters of all layers made so far, by name. */
  readonly parameters: Record<string, Variable> = {}
  /** Running statistics of all batch norms made so far, by name. */
  readonly norms: Record<string, NormState> = {}
  readonly #seed: number

  /** Starts an empty model. Throws TypeError for a seed that is not a whole number. */
  constructor(gpu: Gpu, seed: number) {
    checkGpu('Builder', gpu)
    checkValue('Builder', 'seed', seed, seedRule)
    this.gpu = gpu
    this.#seed = seed
  }

  /** Makes a parameter of your own of these values. Throws ShapeError unless they fill the
   *  shape. */
  parameter(name: string, values: Float32Array, shape: readonly number[]): Variable {
    checkValue('Builder', 'the name of a layer', name, text)
    if (Object.hasOwn(this.parameters, name)) throw usedTwice(name)
    const made = (this.parameters[name] = this.gpu.variable(values, shape))
    nameVariables({ [name]: made })
    return made
  }

  /** Makes a parameter of your own, from N(0, std²). */
  drawn(name: string, shape: readonly number[], std: number): Variable {
    checkValue('Builder.drawn', `the shape of ${name}`, shape, counts)
    checkValue('Builder.drawn', `std of ${name}`, std, notNegative)
    return this.parameter(name, normal(this.#seed, name, sizeOf(shape), std), shape)
  }

  /** Makes a convolution of C channels to K, weight [kH, kW, C / groups, K] from N(0, 2 / fan_out)
   *  as in torchvision's ResNet (He et al. 2015, mode 'fan_out'), unless `init` says otherwise.
   *  `size` is 3 and `stride` 1 by default, each a number or [rows, columns]. Padding keeps the
   *  image's size at stride 1, for odd sizes, unless given. `groups`, 1 by default, divide the
   *  channels. There is no bias unless `bias` is true: it starts at 0, with `init: 'torch'` and
   *  'identity' as torch's. */
  conv(name: string, channels: readonly [number, number], options: Filters = {}): Layer {
    const checked = checkOptions('Builder.conv', options, filterRules)
    const { size = 3, bias: _bias, init: _init, ...how } = checked
    const { w, b } = convWeights('Builder.conv', name, channels, checked, this.#maker)
    const steps = { padding: keeping(size), ...how }
    return (x) => conv2d(x, w, b ? { ...steps, bias: b } : steps)
  }

  /** Makes the weights of `conv` alone, w [kH, kW, C / groups, K] and b [K], null unless `bias` is
   *  true: for an op of several layers, such as `residualUnit`. */
  filters<O extends Filling>(
    name: string,
    channels: readonly [number, number],
    options?: O,
  ): ConvWeights<O extends { readonly bias: true } ? Variable : Variable | null>
  filters(name: string, channels: readonly [number, number], options: Filling = {}) {
    const checked = checkOptions('Builder.filters', options, fillingRules)
    return convWeights('Builder.filters', name, channels, checked, this.#maker)
  }

  /** Makes a convolution as `conv` does and a batch norm of its output as `norm` does, as one op.
   *  Each has its own name. */
  convNorm(
    names: readonly [conv: string, norm: string],
    channels: readonly [number, number],
    options: LayerWindow & { readonly zero?: boolean } = {},
  ): ConvNorm {
    const rules = { ...windowRules, zero: flag }
    const { size = 3, stride = 1, zero = false } = checkOptions('Builder.convNorm', options, rules)
    const [conv, norm] = checkValue('Builder.convNorm', 'names', names, twoNames)
    const { w } = convWeights('Builder.convNorm', conv, channels, { size }, this.#maker)
    const [, K] = channels
    const { gamma, beta, state } = this.#scales(norm, K, { zero, scale: true, shift: true })
    const window = { stride, padding: keeping(size) }
    const layer = (...[x, mode, then]: Parameters<ConvNorm>) => {
      const { running, how } = this.#follow(norm, state, mode)
      return convNorm(x, w, gamma, beta, running, { ...window, ...how, ...then })
    }
    const shortcut: ConvNorm['shortcut'] = (x, mode) => {
      const { running } = this.#follow(norm, state, mode)
      return { x, w, gamma, beta, running, ...window }
    }
    return Object.assign(layer, { shortcut })
  }

  /** Makes a batch norm of C channels, momentum 0.1 and eps 1e-5 as in torch. The scale starts at
   *  1, with `zero` at 0; the shift starts at 0. `scale: false` and `shift: false` keep them
   *  constant, and out of the parameters. */
  norm(name: string, C: number, options: NormScaling = {}): Norm {
    const rules = { zero: flag, scale: flag, shift: flag }
    const checked = checkOptions('Builder.norm', options, rules)
    const { zero = false, scale = true, shift = true } = checked
    const { gamma, beta, state } = this.#scales(name, C, { zero, scale, shift })
    return (x, mode, then) => {
      const { running, how } = this.#follow(name, state, mode)
      return batchNorm(x, gamma, beta, running, { ...how, ...then })
    }
  }

  /** Makes a linear layer of C features to K, weight [K, C] and, unless `bias` is false, bias [K].
   *  Both start from torch's default U(-1/√C, 1/√C). `std` draws the weight from N(0, std²)
   *  instead, and the bias starts at 0. */
  linear(name: string, sizes: readonly [number, number], options: Affine = {}): Layer {
    const [C, K] = checkValue('Builder.linear', `sizes of ${name}`, sizes, twoCounts)
    const rules = { bias: flag, std: notNegative }
    const { bias = true, std = 0 } = checkOptions('Builder.linear', options, rules)
    const [stream, init] = [`${name}.weight`, std > 0 ? { std } : 'torch'] as const
    const w = this.parameter(stream, initialMatrix(this.#seed, stream, [K, C], init), [K, C])
    if (!bias) return (x) => linear(x, w)
    const bound = std > 0 ? 0 : 1 / Math.sqrt(C)
    const b = this.parameter(`${name}.bias`, this.#uniform(`${name}.bias`, K, bound), [K])
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

  get #maker() {
    return { seed: this.#seed, parameter: this.parameter.bind(this) }
  }

  #uniform(stream: string, size: number, bound: number): Float32Array {
    return bound === 0 ? new Float32Array(size) : uniform(this.#seed, stream, size, -bound, bound)
  }

  #scales(name: string, C: number, { zero, scale, shift }: Required<NormScaling>) {
    checkValue('Builder', 'the name of a layer', name, text)
    checkValue('Builder', `the channels of ${name}`, C, count)
    const ones = new Float32Array(C).fill(zero ? 0 : 1)
    const gamma = scale ? this.parameter(`${name}.weight`, ones, [C]) : this.gpu.variable(ones, [C])
    const zeros = new Float32Array(C)
    const beta = shift ? this.parameter(`${name}.bias`, zeros, [C]) : this.gpu.variable(zeros, [C])
    const mean = this.gpu.variable(zeros, [C])
    const variance = this.gpu.variable(new Float32Array(C).fill(1), [C])
    const state: NormState = { mean, variance, batches: 0 }
    if (Object.hasOwn(this.norms, name)) throw usedTwice(name)
    this.norms[name] = state
    owns(state, [mean, variance, ...(scale ? [] : [gamma]), ...(shift ? [] : [beta])])
    nameVariables({ [`${name}.running_mean`]: mean, [`${name}.running_var`]: variance })
    return { gamma, beta, state }
  }
}
