// What a model is: parameters, running statistics and a forward; and the checks of its arguments.

import { type Tensor, type Variable, sizeOf } from '../kernels/op.ts'
import type { Shortcut } from '../kernels/conv/conv-norm.ts'
import type { Draws } from '../kernels/wgsl/draws.ts'
import type { Running } from '../kernels/norm/batch-norm.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  checkValue,
  describe,
  flag,
  having,
  needed,
  onGpu,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { printsAs } from '../engine/inspect.ts'

/** Settings of a forward pass. */
export interface Mode {
  /** True: batch norm normalises by the batch's statistics and updates the running ones. False: it
   *  normalises by the running ones. */
  readonly training: boolean
  /** In training, the number of equal groups of the batch that batch norm normalises separately; 1
   *  by default. */
  readonly splits?: number
  /** In training, the number of equal batches that lie one behind another in x, such as two views.
   *  Batch norm treats each as if it came alone; 1 by default, and with `splits`. */
  readonly batches?: number
  /** False trains without updating the running statistics and their counts, as for a second pass
   *  over the same images; true by default. */
  readonly tracking?: boolean
  /** What random numbers depend on: seed, step, view and number of the first image. Methods give
   *  it; in a step of your own give `{ seed, step }`. Needed in training where a layer draws. */
  readonly draws?: Draws
}

const modeRules = {
  training: needed(flag),
  ...{ splits: anything, batches: anything, tracking: flag },
  draws: having('what random numbers depend on, { seed, step }', 'seed', 'step'),
}

/** Returns the mode. Throws TypeError, whose message begins with `owner`, unless it is one. */
export const checkMode = (owner: string, mode: Mode): Mode => {
  if (typeof mode !== 'object' || mode === null)
    throw new TypeError(
      `${owner}: the mode must be { training: true } to train, or { training: false } to evaluate, got ${describe(mode)}`,
    )
  return checkOptions(owner, mode, modeRules)
}

/** Returns the options of `dropout`, `dropPath` and your own draws in this mode, but for the
 *  layer's `stream`. Throws TypeError in training without `mode.draws`. */
export const drawsOf = (mode: Mode) => layerDraws('drawsOf', mode)

/** `drawsOf`, whose messages begin with `owner`. */
export function layerDraws(owner: string, mode: Mode): Draws & { readonly training: boolean } {
  const { training, draws } = checkMode(owner, mode)
  if (!training) return { seed: 0, step: 0, training }
  if (!draws)
    throw new TypeError(
      `${owner}: a layer draws random numbers in training, and the mode has no draws; give { training: true, draws: { seed, step } }`,
    )
  return { ...draws, training }
}

/** Wraps a model's forward so that it checks its arguments. */
export const checkedForward =
  (owner: string, forward: Layer): Layer =>
  (x, mode) => {
    checkTensor(`${owner}.forward`, 'x', x)
    return forward(x, checkMode(`${owner}.forward`, mode))
  }

/** Throws TypeError, whose message begins with `owner`, unless this is a Gpu. */
export const checkGpu = (owner: string, gpu: Gpu) => checkValue(owner, 'gpu', gpu, onGpu)

/** Lets a model print as 'resnet8 (32 parameters, 5044 numbers, 16 features)'. */
export const printedModel = <T extends Model>(name: string, model: T): T =>
  printsAs(model, ({ parameters, features }) => {
    const all = Object.values(parameters)
    const numbers = all.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
    return `${name} (${all.length} parameters, ${numbers} numbers, ${features} features)`
  })

/** The forward of a layer or a model: a tensor to a tensor. Throws ShapeError. */
export type Layer = (x: Tensor, mode: Mode) => Tensor

/** The forward of a batch norm. `then` adds a residual of x's shape, applies ReLU, or both, in the
 *  same pass over the images. */
export type Norm = (
  x: Tensor,
  mode: Mode,
  then?: { readonly residual?: Tensor; readonly relu?: boolean },
) => Tensor

/** The forward of a convolution and its batch norm. Its residual may be a shortcut. */
export interface ConvNorm {
  (
    x: Tensor,
    mode: Mode,
    then?: { readonly residual?: Tensor | Shortcut; readonly relu?: boolean },
  ): Tensor
  /** This layer as the shortcut of the layer that adds it, to be called once for it. */
  readonly shortcut: (x: Tensor, mode: Mode) => Shortcut
}

/** A network: parameters, batch-norm statistics and a forward. */
export interface Model {
  /** Variables that train, by name; a ResNet's have torchvision's names. */
  readonly parameters: Readonly<Record<string, Variable>>
  /** Running statistics of each batch norm, by the name of its layer. */
  readonly norms: Readonly<Record<string, NormState>>
  /** Size of each output row. */
  readonly features: number
  /** Maps images [N, H, W, C], or features [N, F], to rows [N, features]. Throws ShapeError. */
  readonly forward: Layer
}

/** Running statistics [C] of one batch norm. */
export interface NormState extends Running {
  /** Number of batches that updated them. */
  batches: number
}
