// What the bodies of steps return, and the checks of it.

import type { Tensor } from '../kernels/op.ts'
import { Gradients } from './optim/gradients.ts'

/** What the body of a step returns: a tensor, a list of tensors, or nothing. These tensors live
 *  until the next step ends without returning them; all others are freed when their step ends. */
export type StepResult = Tensor | readonly Tensor[] | void

/** The result of a turn of a fold, passed to the next turn: the tensors that outlive it. */
export type Carried = readonly Tensor[] | ReadonlyMap<Tensor, Tensor> | Gradients

/** Returns what a body of `Gpu.noGrad` returned. Throws Error for a promise. */
export function notAsync<T>(result: T): T {
  if (!(result instanceof Promise)) return result
  result.catch(() => {}) // its own error is dropped for the one below
  throw new Error('Gpu.noGrad: the body must not be async; await outside of it')
}

/** Returns the tensors of a carry. Throws Error for anything else that plain JavaScript returns. */
export function carriedBy(carry: Carried): readonly Tensor[] {
  if (carry instanceof Gradients) return carry.allParts()
  if (!Array.isArray(carry) && !(carry instanceof Map))
    throw new Error('Gpu.fold: what a turn returns must be tensors in an array or a map')
  return [...carry.values()]
}

/** Throws Error for a result that is not a StepResult. */
export function checkResult(result: unknown) {
  if (result instanceof Promise) {
    result.catch(() => {}) // its own error is dropped for the one below
    throw new Error(
      'Gpu.step: the body must not be async; return the tensors, and await reads of them outside',
    )
  }
  for (const one of Array.isArray(result) ? (result as unknown[]) : [result])
    if (one && !(typeof one === 'object' && 'gpu' in one))
      throw new Error(
        `Gpu.step: the body must return a tensor, several in an array, or nothing, got a ${typeof one}`,
      )
}

/** Returns the tensors of a step's result. */
export function listOf(result: StepResult): readonly Tensor[] {
  if (!result) return []
  return 'gpu' in result ? [result] : result
}
