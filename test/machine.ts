// A machine without a GPU, for tests of what kernels are run, and how.

import type { Dispatch, Kernel, Make, Run, Shape, Tensor } from '../kernels/op.ts'

/** A tensor of no machine. */
export const tensor = (shape: Shape) => ({ shape, dtype: 'f32' }) as Tensor

/** A machine that computes nothing: a large GPU unless traits say otherwise. `watch` is told of every dispatch. */
export function machine(
  traits: Partial<Run>,
  watch: (kernel: Kernel, dispatch: Dispatch<readonly Make[]>) => void = () => {},
): Run {
  const run = (kernel: Kernel, dispatch: Dispatch<readonly Make[]>) => {
    watch(kernel, dispatch)
    return (dispatch.makes ?? []).map((make) => tensor('shape' in make ? make.shape : make))
  }
  const rest = {
    view: (_: Tensor, shape: Shape) => tensor(shape),
    tensor: (_: unknown, shape: Shape) => tensor(shape),
    race: <T>(_name: string, _ways: number, guess: number, compute: (way: number) => T) => compute(guess),
    ...{ software: false, precision: 'f32', activations: 'f32', matrices: false, emulated: false },
    ...{ f16: true, workgroupBytes: 1 << 16, subgroupSize: 32 },
  }
  return Object.assign(run, rest, traits) as unknown as Run // erased, as the engine's own
}
