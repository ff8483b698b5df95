// Runs an encoder and the head on top of it.

import { checkValue, having } from '../kernels/options.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Mode } from './model.ts'
import { type Tower, isModel } from './parts.ts'

export { type Tower, parametersOf } from './parts.ts'

/** g(f(x)), not normalised: images x [N, H, W, 3] -> embeddings [N, D]. Throws ShapeError. */
export function forwardTower(tower: Tower, x: Tensor, mode: Mode): Tensor {
  const { encoder, head } = checkValue('forwardTower', 'tower', tower, encoderAndHead)
  return head.forward(encoder.forward(x, mode), mode)
}

const encoderAndHead = {
  words: 'an encoder and a head, { encoder, head }',
  fits: (v: unknown) =>
    having('', 'encoder', 'head').fits(v) &&
    isModel((v as Tower).encoder) &&
    isModel((v as Tower).head),
}
