// Tensors and variables as a user makes them: gradients flow to those of f32.

import { numbersOf } from '../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, type Variable, show } from '../kernels/op.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Parts } from './apply.ts'
import type { Commands } from './commands.ts'
import { isFloat } from './values.ts'

type Machinery = Parts & { readonly commands: Commands }

/** A tensor that holds `values`. A captured step that makes one is not replayed. */
export function makeTensor(
  { commands, tensors, wanted }: Machinery,
  values: Values,
  shape?: Shape,
): Tensor {
  const numbers = numbersOf('tensor', values, shape)
  commands.trace?.refuse(
    `a tensor ${show(numbers.shape)} was made of values in the step; pass it as an input`,
  )
  return noted(tensors.place(numbers), wanted)
}

/** A variable that holds `values`. */
export const makeVariable = ({ tensors, wanted }: Parts, values: Values, shape?: Shape): Variable =>
  noted(tensors.variable(values, shape), wanted)

/** x without its history. */
export function makeLeaf({ tensors, wanted }: Parts, x: Tensor): Tensor {
  checkTensor('Gpu.leaf', 'x', x)
  return noted(tensors.view(x, x.shape), wanted)
}

function noted<T extends Tensor>(t: T, wanted: WeakSet<Tensor>): T {
  if (isFloat(t)) wanted.add(t)
  return t
}
