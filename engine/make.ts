// Makes tensors and variables for a user. Those of f32 require a gradient.

import { numbersOf } from '../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, type Variable, show } from '../kernels/op.ts'
import { checkTensor } from '../kernels/options.ts'
import type { GpuParts } from './apply.ts'
import type { Commands } from './commands.ts'
import { isFloat } from './values.ts'

type Machinery = GpuParts & { readonly commands: Commands }

/** Makes a tensor that holds `values`. A captured step that makes one is not replayed. */
export function makeTensor(gpu: Machinery, values: Values, shape?: Shape): Tensor {
  const numbers = numbersOf('tensor', values, shape)
  gpu.commands.trace?.refuse(
    `a tensor ${show(numbers.shape)} was made of values in the step; pass it as an input`,
    { without: true },
  )
  return requiringGrad(gpu, gpu.tensors.fromNumbers(numbers))
}

/** Makes a variable that holds `values`. */
export const makeVariable = (gpu: GpuParts, values: Values, shape?: Shape): Variable =>
  requiringGrad(gpu, gpu.tensors.variable(values, shape))

/** Makes a tensor on the memory of x, without its history. */
export function makeLeaf(gpu: GpuParts, x: Tensor): Tensor {
  checkTensor('Gpu.leaf', 'x', x)
  return requiringGrad(gpu, gpu.tensors.view(x, x.shape))
}

function requiringGrad<T extends Tensor>({ requiresGrad }: GpuParts, t: T): T {
  if (isFloat(t)) requiresGrad.add(t)
  return t
}
