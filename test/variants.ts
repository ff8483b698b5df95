import { type Op, type Run, type Tensors, op } from '../kernels/op.ts'

/** Traits of machines whose kernels a CPU adapter does not choose by itself. */
const machines = {
  'GPU kernels': { software: false },
  'f16 without matrices': { software: false, matrices: false, precision: 'f16' },
  f16x3: { software: false, matrices: true, emulated: true, precision: 'f16x3' },
  f16: { software: false, matrices: true, emulated: true, precision: 'f16' },
} as const

export type Machine = keyof typeof machines

/** An op as this machine runs it, and as others would. */
export function variants<In extends Tensors, Out extends Tensors, A>(
  def: Op<In, Out, A>,
  names: readonly Machine[] = ['GPU kernels'],
) {
  return [
    ['', op(def)] as const,
    ...names.map((name) => [`, ${name}`, op(elsewhere(def, machines[name]))] as const),
  ]
}

function elsewhere<In extends Tensors, Out extends Tensors, A>(def: Op<In, Out, A>, traits: Partial<Run>) {
  const { backward } = def
  const posed = (run: Run): Run => {
    const call = (...[kernel, dispatch]: Parameters<Run>) => run(kernel, dispatch)
    return Object.assign(call, run, traits)
  }
  return {
    ...def,
    forward: (run, ...rest) => def.forward(posed(run), ...rest),
    ...(backward && { backward: (run, ...rest) => backward.call(def, posed(run), ...rest) }),
  } satisfies Op<In, Out, A>
}
