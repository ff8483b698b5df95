// An encoder and the head on top of it, as one function from images to embeddings.

import type { Tensor } from '../kernels/op.ts'
import type { Named } from '../engine/optimizer.ts'
import type { Mode, Model } from './layers.ts'

/** An encoder f and a head g: images x [N, H, W, 3] -> features h = f(x) -> embeddings z = g(h) [N, D]. */
export interface Tower {
  readonly encoder: Model
  readonly head: Model
}

/** g(f(x)), not normalised. */
export const through = ({ encoder, head }: Tower, x: Tensor, mode: Mode): Tensor =>
  head.forward(encoder.forward(x, mode), mode)

/** The parameters of both by name, the encoder's first. */
export const parametersOf = ({ encoder, head }: Tower): Named => ({
  ...encoder.parameters,
  ...head.parameters,
})
