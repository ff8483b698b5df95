// An encoder and the head on top of it, as one function from images to embeddings.

import type { Tensor } from '../kernels/op.ts'
import type { Mode } from './layers.ts'
import type { Tower } from './parts.ts'

export { type Tower, parametersOf } from './parts.ts'

/** g(f(x)), not normalised. */
export const through = ({ encoder, head }: Tower, x: Tensor, mode: Mode): Tensor =>
  head.forward(encoder.forward(x, mode), mode)
