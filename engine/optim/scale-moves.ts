// Tells an optimizer which loss scales a backward pass was given, so that it divides by the same.

import type { Tensor } from '../../kernels/op.ts'

/** The owner of a scale: a LossScaler. */
interface Scaler {
  /** How often its scale has moved. */
  readonly moves: number
}

/** How often each scaler had moved its scale. */
export type ScaleMoves = ReadonlyMap<Scaler, number>

const scalers = new WeakMap<Tensor, Scaler>()

/** Registers the scaler that a scale belongs to. */
export const registerScale = (scale: Tensor, scaler: Scaler) => void scalers.set(scale, scaler)

/** Finds the scales among the cotangents, and returns how often each has moved by now. */
export const scaleMovesOf = (cotangents: readonly Tensor[]): ScaleMoves =>
  new Map(
    cotangents.flatMap((cotangent) => {
      const scaler = scalers.get(cotangent)
      return scaler ? [[scaler, scaler.moves] as const] : []
    }),
  )
