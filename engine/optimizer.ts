// Optimizers over flat buffers: constructing one moves the parameters into one buffer, and a step is a few dispatches
// however many parameters there are.

import { type Tensor, type Variable, ShapeError, show, sizeOf } from '../kernels/op.ts'
import { type Layout, BLOCK, adam, sgd } from '../kernels/update.ts'
import { lars } from '../kernels/update-lars.ts'
import { Gpu } from './gpu.ts'
import type { LossScaler } from './loss-scaler.ts'

/** Parameters by name, in order. */
export type Named = Readonly<Record<string, Variable>>

/** What every optimizer offers. */
export interface Optimizer {
  /** Updates the parameters in place. `gradients` is what Gpu.backward returns; parameters it lacks are left alone, as in
   *  PyTorch. `lr` is the learning rate of this step; `scaler` is the one whose scale the loss was multiplied by, if any.
   *  Throws Error when no parameter has a gradient. */
  step(gradients: ReadonlyMap<Tensor, Tensor>, lr: number, scaler?: LossScaler): void
  /** Steps taken; set it when resuming. */
  t: number
  /** The state to save and restore: one flat variable per role, laid out as `offsets` says. */
  readonly state: Named
  /** Where each parameter begins in a flat variable, in elements. */
  readonly offsets: readonly number[]
}

/** Whether LARS leaves a parameter without weight decay and trust ratio: biases and norm parameters, the 1-d ones. */
export const biasOrNorm = (_name: string, parameter: Variable) => parameter.shape.length <= 1

interface Treatment {
  readonly weightDecay: number
  readonly adapted: boolean
}

/** The parameters' flat buffers and tables that all optimizers share. */
class FlatParameters {
  readonly gpu: Gpu
  readonly variables: readonly Variable[]
  readonly offsets: readonly number[]
  readonly weight: Variable
  readonly grad: Variable
  readonly layout: Layout & { readonly settings: Variable; readonly ranges: Variable }
  readonly #names: readonly string[]
  readonly #treatments: readonly Treatment[]
  #active = ''

  constructor(parameters: Named, treat: (name: string, parameter: Variable) => Treatment) {
    this.variables = Object.values(parameters)
    this.#names = Object.keys(parameters)
    const [first] = this.variables
    const twice = this.variables.findIndex((variable, i) => this.variables.indexOf(variable) < i)
    if (twice >= 0)
      throw new Error(
        `optimizer: ${this.#names[twice]} is the same variable as another parameter; name it once`,
      )
    if (!first || !(first.gpu instanceof Gpu))
      throw new Error('optimizer: there are no parameters to optimise')
    this.gpu = first.gpu
    this.#treatments = Object.entries(parameters).map(([name, parameter]) => treat(name, parameter))
    const { flat, offsets } = this.gpu.flatten(this.variables)
    this.weight = flat
    this.offsets = offsets
    this.grad = this.zeros()
    const ends = [...offsets.slice(1), sizeOf(flat.shape)].map((offset) => offset / BLOCK)
    const ranges = offsets.flatMap((offset, i) => [offset / BLOCK, ends[i] ?? 0])
    const owner = new Int32Array(sizeOf(flat.shape) / BLOCK)
    for (const [i, offset] of offsets.entries()) owner.fill(i, offset / BLOCK, ends[i])
    this.layout = {
      owner: this.gpu.variable(owner, [owner.length]),
      settings: this.gpu.variable(new Float32Array(offsets.length * 4), [offsets.length, 4]),
      ranges: this.gpu.variable(Int32Array.from(ranges), [offsets.length, 2]),
    }
  }

  zeros(): Variable {
    return this.gpu.variable(new Float32Array(sizeOf(this.weight.shape)), this.weight.shape)
  }

  /** Copies the gradients into the flat buffer, and returns the layout that tells the kernels which parameters have one. */
  collect(gradients: ReadonlyMap<Tensor, Tensor>, scaler?: LossScaler) {
    if (!this.variables.every((variable) => this.gpu.isWithin(variable, this.weight)))
      throw new Error('optimizer: its parameters were given to a newer optimizer; step that one instead')
    const parts = this.variables.flatMap((variable, i) => {
      const tensor = gradients.get(variable)
      if (tensor && (tensor.shape.join() !== variable.shape.join() || tensor.dtype !== 'f32'))
        throw new ShapeError(
          `optimizer: the gradient of ${this.#names[i]} must be f32 ${show(variable.shape)}, got ${tensor.dtype} ${show(tensor.shape)}`,
        )
      return tensor ? [{ tensor, offset: this.offsets[i] ?? 0, parameter: i }] : []
    })
    if (parts.length === 0)
      throw new Error(
        `optimizer: none of ${this.variables.length} parameters received a gradient; was the loss computed from them, outside noGrad?`,
      )
    const active = parts.map((part) => part.parameter).join()
    if (active !== this.#active) this.#write(new Set(parts.map((part) => part.parameter)))
    this.#active = active
    this.gpu.gather(this.grad, parts)
    return scaler ? scaler.unscale(this.layout, this.grad) : this.layout
  }

  #write(active: ReadonlySet<number>) {
    const rows = this.#treatments.flatMap((t, i) => [
      t.weightDecay,
      Number(t.adapted),
      Number(active.has(i)),
      0,
    ])
    this.gpu.write(this.layout.settings, rows)
  }
}

export interface SgdOptions {
  readonly momentum?: number
  readonly nesterov?: boolean
  /** Added to the gradient as weightDecay times the weight, on every parameter. */
  readonly weightDecay?: number
}

/** Stochastic gradient descent as torch.optim.SGD defines it. */
export class Sgd implements Optimizer {
  t = 0
  readonly state: Named
  readonly offsets: readonly number[]
  readonly #flat: FlatParameters
  readonly #velocity: Variable
  readonly #options: { readonly momentum: number; readonly nesterov: boolean }

  constructor(parameters: Named, { momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}) {
    this.#flat = new FlatParameters(parameters, () => ({ weightDecay, adapted: false }))
    this.#velocity = this.#flat.zeros()
    this.#options = { momentum, nesterov }
    this.state = { momentum: this.#velocity }
    this.offsets = this.#flat.offsets
  }

  step(gradients: ReadonlyMap<Tensor, Tensor>, lr: number, scaler?: LossScaler) {
    const { gpu, weight, grad } = this.#flat
    const layout = this.#flat.collect(gradients, scaler)
    this.t++
    sgd(gpu.run, layout, { weight, grad, velocity: this.#velocity }, { lr, ...this.#options })
  }
}

export interface AdamOptions {
  readonly betas?: readonly [number, number]
  readonly eps?: number
  readonly weightDecay?: number
}

/** Adam with weight decay coupled into the gradient, as torch.optim.Adam defines it, with one difference: its bias correction
 *  counts the optimizer's steps, where torch counts each parameter's own, so that a parameter whose first gradient comes late
 *  begins with smaller steps. */
export class Adam implements Optimizer {
  t = 0
  readonly state: Named
  readonly offsets: readonly number[]
  readonly #flat: FlatParameters
  readonly #moments: { readonly first: Variable; readonly second: Variable }
  readonly #options: { readonly betas: readonly [number, number]; readonly eps: number }
  readonly #decoupled: boolean

  constructor(
    parameters: Named,
    { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions = {},
    decoupled = false,
  ) {
    this.#flat = new FlatParameters(parameters, () => ({ weightDecay, adapted: false }))
    this.#moments = { first: this.#flat.zeros(), second: this.#flat.zeros() }
    this.#options = { betas, eps }
    this.#decoupled = decoupled
    this.state = { exp_avg: this.#moments.first, exp_avg_sq: this.#moments.second }
    this.offsets = this.#flat.offsets
  }

  step(gradients: ReadonlyMap<Tensor, Tensor>, lr: number, scaler?: LossScaler) {
    const { gpu, weight, grad } = this.#flat
    const layout = this.#flat.collect(gradients, scaler)
    const params = { lr, ...this.#options, decoupled: this.#decoupled, t: ++this.t }
    adam(gpu.run, layout, { weight, grad, ...this.#moments }, params)
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as torch.optim.AdamW defines it; decay 0.01 by default. */
export class AdamW extends Adam {
  constructor(parameters: Named, options: AdamOptions = {}) {
    super(parameters, { weightDecay: 0.01, ...options }, true)
  }
}

export interface LarsOptions {
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly weightDecay?: number
  /** The trust coefficient, 0.001 in the SimCLR paper. */
  readonly eta?: number
  /** True (the default) folds the learning rate into the momentum, as google-research/simclr does. */
  readonly classic?: boolean
  /** Parameters left without weight decay and trust ratio; biases and norm parameters by default. */
  readonly exclude?: (name: string, parameter: Variable) => boolean
}

/** Layer-wise adaptive rate scaling, the SimCLR paper's optimizer for large batches. */
export class Lars implements Optimizer {
  t = 0
  readonly state: Named
  readonly offsets: readonly number[]
  readonly #flat: FlatParameters
  readonly #velocity: Variable
  readonly #options: { momentum: number; nesterov: boolean; eta: number; classic: boolean }

  constructor(
    parameters: Named,
    {
      momentum = 0.9,
      nesterov = false,
      weightDecay = 0,
      eta = 0.001,
      classic = true,
      exclude = biasOrNorm,
    }: LarsOptions = {},
  ) {
    this.#flat = new FlatParameters(parameters, (name, parameter) =>
      exclude(name, parameter) ? { weightDecay: 0, adapted: false } : { weightDecay, adapted: true },
    )
    this.#velocity = this.#flat.zeros()
    this.#options = { momentum, nesterov, eta, classic }
    this.state = { momentum: this.#velocity }
    this.offsets = this.#flat.offsets
  }

  step(gradients: ReadonlyMap<Tensor, Tensor>, lr: number, scaler?: LossScaler) {
    const { gpu, weight, grad } = this.#flat
    const layout = this.#flat.collect(gradients, scaler)
    this.t++
    lars(gpu.run, layout, { weight, grad, velocity: this.#velocity }, { lr, ...this.#options })
  }
}
