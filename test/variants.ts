import { type Op, type Run, type Tensors, op } from '../kernels/op.ts'

/** An op as the machine runs it, and as a GPU would: the variants of its kernels that a CPU adapter does not choose. */
export function variants<In extends Tensors, Out extends Tensors, A>(def: Op<In, Out, A>) {
  const { backward } = def
  const onGpu: Op<In, Out, A> = {
    ...def,
    forward: (run, ...rest) => def.forward(asGpu(run), ...rest),
    ...(backward && { backward: (run, ...rest) => backward.call(def, asGpu(run), ...rest) }),
  }
  return [
    ['', op(def)],
    [', GPU kernels', op(onGpu)],
  ] as const
}

function asGpu(run: Run): Run {
  const call = (...[kernel, dispatch]: Parameters<Run>) => run(kernel, dispatch)
  return Object.assign(call, { ...run, software: false }) as Run // it passes on what run, which is typed, returns
}
