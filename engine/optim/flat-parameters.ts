// The parameters of an optimizer in one flat buffer, their gradients in another of the same layout,
// and the tables that tell kernels which parameter each block belongs to.

import { type Scalar, type Variable, ShapeError, show, sizeOf } from '../../kernels/op.ts'
import {
  checkValue,
  describe,
  having,
  isTensor,
  record,
  variable as isVariable,
} from '../../kernels/options.ts'
import { collect } from '../../kernels/optim/collect.ts'
import { type Layout, BLOCK } from '../../kernels/optim/update.ts'
import { setLayout } from '../checkpoint.ts'
import { countUp } from '../counter.ts'
import { Gpu } from '../gpu.ts'
import type { Named } from '../named.ts'
import { nameVariables } from '../names.ts'
import { Gradients } from './gradients.ts'
import type { LossScaler } from './loss-scaler.ts'
import type { Settings } from './treatments.ts'

/** The tables of an optimizer. */
export type FlatLayout = Layout & { readonly ranges: Variable }

/** The flat buffers and tables that all optimizers have. */
export class FlatParameters {
  readonly gpu: Gpu
  readonly variables: readonly Variable[]
  readonly offsets: readonly number[]
  readonly weight: Variable
  readonly grad: Variable
  readonly layout: FlatLayout & { readonly settings: Variable }
  /** The optimizer's own variables: all that were made here. */
  readonly made: Variable[] = []
  readonly #names: readonly string[]
  /** The parameters that are not frozen. */
  readonly trained: Named
  readonly #settings: readonly Settings[]
  #active: readonly number[] = []

  constructor(parameters: Named, settingsOf: (name: string, parameter: Variable) => Settings) {
    checkNamed(parameters)
    this.variables = Object.values(parameters)
    this.#names = Object.keys(parameters)
    const [first] = this.variables
    this.#checkDistinct()
    if (!first || !(first.gpu instanceof Gpu))
      throw new Error('optimizer: there are no parameters to optimise')
    this.gpu = first.gpu
    this.#settings = Object.entries(parameters).map((entry) => settingsOf(...entry))
    this.trained = Object.fromEntries(
      Object.entries(parameters).filter((_, i) => !this.#settings[i]?.frozen),
    )
    if (Object.keys(this.trained).length === 0)
      throw new Error('optimizer: every parameter is frozen; there is nothing to train')
    nameVariables(parameters)
    const { flat, offsets } = this.gpu.flatten(this.variables)
    this.weight = flat
    this.offsets = offsets
    this.grad = this.zeros()
    nameVariables({ 'all parameters': flat, 'all gradients': this.grad })
    const ends = [...offsets.slice(1), sizeOf(flat.shape)].map((offset) => offset / BLOCK)
    const ranges = offsets.flatMap((offset, i) => [
      offset / BLOCK,
      ends[i] ?? 0,
      Number(this.#settings[i]?.adapted),
    ])
    const owner = new Int32Array(sizeOf(flat.shape) / BLOCK)
    for (const [i, offset] of offsets.entries()) owner.fill(i, offset / BLOCK, ends[i])
    this.layout = {
      owner: this.gpu.variable(owner, [owner.length]),
      settings: this.gpu.variable(new Float32Array(offsets.length * 4), [offsets.length, 4]),
      ranges: this.gpu.variable(Int32Array.from(ranges), [offsets.length, 3]),
    }
    this.made.push(flat, ...Object.values(this.layout))
    const active = [...offsets.keys()].filter((i) => !this.#settings[i]?.frozen)
    this.#write(active) // right for steps in which all have a gradient
    this.#active = active
  }

  /** Throws Error for a variable under two names. */
  #checkDistinct() {
    const twice = this.variables.findIndex((variable, i) => this.variables.indexOf(variable) < i)
    if (twice >= 0)
      throw new Error(
        `optimizer: ${this.#names[twice]} is the same variable as another parameter; name it once`,
      )
  }

  /** Makes a flat variable of zeros; a checkpoint of it names its parts. */
  zeros(): Variable {
    const { shape } = this.weight
    const variable = this.gpu.variable(new Float32Array(sizeOf(shape)), shape)
    setLayout(
      variable,
      this.#names.map((name, i) => `${name} ${show(this.variables[i]?.shape ?? [])}`),
    )
    this.made.push(variable)
    return variable
  }

  /** Copies the gradients into the flat buffer, and unscales them. Returns the layout to update by,
   *  which tells kernels the parameters that have a gradient. */
  collect(gradients: Gradients, scaler?: LossScaler): FlatLayout {
    checkValue('Optimizer.step', 'gradients', gradients, isGradients)
    if (scaler !== undefined)
      checkValue('Optimizer.step', 'scaler', scaler, having('a LossScaler', 'unscale'))
    if (!this.variables.every((variable) => this.gpu.isWithin(variable, this.weight)))
      throw new Error(
        'optimizer: its parameters were given to a newer optimizer; step that one instead',
      )
    const parts = this.variables.flatMap((variable, i) => {
      const tensors = this.#settings[i]?.frozen ? [] : gradients.parts(variable)
      const [tensor] = tensors
      if (tensor && (tensor.shape.join() !== variable.shape.join() || tensor.dtype !== 'f32'))
        throw new ShapeError(
          `optimizer: the gradient of ${this.#names[i]} must be f32 ${show(variable.shape)}, got ${tensor.dtype} ${show(tensor.shape)}`,
        )
      return tensor ? [{ tensors, offset: this.offsets[i] ?? 0, parameter: i }] : []
    })
    if (parts.length === 0)
      throw new Error(
        `optimizer: none of ${Object.keys(this.trained).length} parameters received a gradient; was the loss computed from them, outside noGrad?`,
      )
    this.#activate(parts.map(({ parameter }) => parameter))
    collect(this.gpu.run, this.grad, parts)
    return scaler ? scaler.unscale(this.layout, this.grad, gradients, this) : this.layout
  }

  /** Writes the table of settings, where not the same parameters have a gradient as in the step
   *  before. */
  #activate(parameters: readonly number[]) {
    const before = this.#active
    if (parameters.join() === before.join()) return
    this.#write(parameters)
    this.gpu.everyStep(
      () => (this.#active = parameters),
      () => {
        this.#active = before
        this.#write(before)
      },
    )
  }

  /** Counts a step, in replays too. Refuses to replay a step with a plain number as learning rate,
   *  since it would never change. */
  countStep(optimizer: { t: number }, lr: Scalar) {
    countUp(this.gpu, optimizer, 't')
    if (typeof lr === 'number')
      this.gpu.keepEager(`the learning rate ${lr} is a plain number; give a function, () => lr`)
  }

  /** Writes the table of settings: a row [weight decay, factor of the learning rate, factor of the
   *  gradient, whether the decay is the step's] for each parameter. Those without a gradient have a
   *  rate of 0. */
  #write(parameters: readonly number[]) {
    const active = new Set(parameters)
    const rows = this.#settings.flatMap(({ weightDecay, lr }, i) => [
      weightDecay ?? 0,
      active.has(i) ? lr : 0,
      1,
      Number(weightDecay === null),
    ])
    this.gpu.write(this.layout.settings, rows)
  }
}

const isGradients = {
  words: 'the Gradients that gpu.backward returns, or new Gradients(pairs)',
  fits: (v: unknown) => v instanceof Gradients,
}

/** Throws TypeError unless these are variables by name, such as a model's `parameters`. */
function checkNamed(parameters: unknown) {
  checkValue('optimizer', 'parameters', parameters, namedVariables)
  for (const [name, variable] of Object.entries(parameters as object))
    if (!isVariable.fits(variable))
      throw new TypeError(
        `optimizer: parameter ${name} must be a variable, got ${describe(variable)}; give parameters by name, such as model.parameters or parametersOf({ encoder, head })`,
      )
}

const namedVariables = {
  words: 'variables by name, such as model.parameters',
  fits: (v: unknown) => record.fits(v) && !isTensor(v),
}
