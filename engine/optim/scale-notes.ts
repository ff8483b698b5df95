// Notes which loss scales gradients were made with, from the backward pass to the optimizer.

import type { Tensor } from '../../kernels/op.ts'

/** What a scale belongs to: a LossScaler. */
interface Scaler {
  /** How often its scale has moved. */
  readonly moves: number
}

/** The scaler of each scale. */
const scalers = new WeakMap<Tensor, Scaler>()

/** How often each scale had moved when gradients were made with it. */
const notes = new WeakMap<object, ReadonlyMap<Scaler, number>>()

/** Notes that a scale is this scaler's. */
export const noteScaler = (scale: Tensor, scaler: Scaler) => void scalers.set(scale, scaler)

/** Notes which of the cotangents are scales, for the gradients that were made with them. */
export function noteScale(gradients: object, cotangents: readonly Tensor[]) {
  const found = cotangents.flatMap((cotangent) => scalers.get(cotangent) ?? [])
  if (found.length > 0) notes.set(gradients, new Map(found.map((scaler) => [scaler, scaler.moves])))
}

/** Notes that gradients were made of others, with the same scales. */
export function noteSame(gradients: object, of: object) {
  const found = notes.get(of)
  if (found) notes.set(gradients, found)
}

/** How often the scaler had moved when these gradients were made with its scale; undefined when
 *  they were made without. */
export const movesWhenMade = (gradients: object, scaler: Scaler): number | undefined =>
  notes.get(gradients)?.get(scaler)
