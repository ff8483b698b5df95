// Runs an op: checks its inputs, scopes its memory, and records its backward on the tape.

import {
  type DType,
  type Op,
  type Run,
  type Shape,
  type Tensor,
  type TensorList,
  show,
} from '../kernels/op.ts'
import { Pending, neededBy } from '../kernels/pending.ts'
import { storedAs, widenOp } from '../kernels/wgsl/storage.ts'
import type { Memory } from './memory.ts'
import type { Observing } from './observe.ts'
import type { Tape } from './tape.ts'
import type { Tensors } from './tensors.ts'
import { checkDtypes } from './values.ts'

/** The parts of a Gpu that ops use. */
export interface GpuParts {
  readonly run: Run
  readonly memory: Memory
  readonly tensors: Tensors
  readonly tape: Tape
  /** Tensors that require a gradient. */
  readonly requiresGrad: WeakSet<Tensor>
  readonly observing: Observing
}

/** Returns the op's outputs. Throws the errors of its `shape`, and ShapeError for inputs of dtypes
 *  that it does not accept. */
export function applyOp<In extends TensorList, Out extends TensorList, A>(
  parts: GpuParts,
  op: Op<In, Out, A>,
  attrs: A,
  given: In,
): Readonly<Out> {
  const { memory, tensors, tape, requiresGrad, run, observing } = parts
  tensors.storages(given) // throws for a freed tensor, or another Gpu's
  const inputs = accepted(parts, op, given)
  checkDtypes(op, inputs)
  // map keeps the tuple's length
  const shapes = inputs.map((t) => t.shape) as { [I in keyof In]: Shape }
  op.shape(attrs, ...shapes)
  const needs = inputs.map((t) => requiresGrad.has(t))
  const { backward } = op
  const isTaped = backward !== undefined && !tape.paused && needs.includes(true)
  const flops = () => op.flops?.(attrs, ...shapes)
  const forward = () =>
    memory.scope(
      () => op.forward(run, attrs, ...inputs),
      (made) => tensors.storages(made),
    ).result
  const call = () => ({
    ...{ name: op.name, attrs, inputs, flops },
    pass: 'forward' as const,
    cotangents: [],
  })
  const outputs = observing.op(call, forward)
  if (!isTaped) return outputs
  for (const output of outputs) requiresGrad.add(output)
  const pullback = pullbackOf(parts, { ...op, backward }, attrs, { inputs, outputs, needs, flops })
  tape.record({ inputs, outputs, pullback, takesParts: op.takesParts ?? false })
  return outputs
}

/** The tensors of a taped op, and which inputs require a gradient. */
interface Taped<In, Out> {
  readonly inputs: In
  readonly outputs: Out
  readonly needs: readonly boolean[]
  readonly flops: () => number | undefined
}

/** Returns the function from cotangents to the gradients of the inputs, each of its input's
 *  dtype. */
function pullbackOf<In extends TensorList, Out extends TensorList, A>(
  { memory, tensors, run, observing }: GpuParts,
  op: Op<In, Out, A> & Required<Pick<Op<In, Out, A>, 'backward'>>,
  attrs: A,
  { inputs, outputs, needs, flops }: Taped<In, Readonly<Out>>,
) {
  const findChanged = tensors.watch([...inputs, ...outputs])
  const scope = <T>(body: () => T, made: (result: T) => readonly Tensor[]) =>
    memory.scope(body, (result) => tensors.storages(made(result))).result
  // An observer reads what an op makes, so nothing is pending then.
  const settled = (d: Tensor, dtype: DType) => {
    if (!(d instanceof Pending)) return storedAs(run, dtype, d)
    return observing.isActive ? d.compute() : d.within(scope)
  }
  return (
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    needed: readonly boolean[],
    addend: Tensor | null,
  ) => {
    const changed = findChanged()
    if (changed)
      throw new Error(
        `${op.name}: a variable ${show(changed.shape)} was changed between forward and backward; call backward first`,
      )
    const both = needs.map((isNeeded, i) => isNeeded && needed[i] === true)
    const backward = () =>
      memory.scope(
        () => {
          const made = op.backward(run, attrs, cotangents, inputs, outputs, both, addend)
          return made.map((d, i) => d && settled(d, inputs[i]?.dtype ?? 'f32'))
        },
        (made) => tensors.storages(neededBy(made)),
      ).result
    const told = { name: op.name, attrs, inputs, cotangents, flops }
    const call = () => ({ ...told, pass: 'backward' as const })
    return observing.op(call, backward)
  }
}

/** Returns the inputs, those of f16 converted where the op takes f32. */
function accepted<In extends TensorList>(
  parts: GpuParts,
  { accepts = [] }: Pick<Op<In>, 'accepts'>,
  inputs: In,
): In {
  const converted = inputs.map((x, i) =>
    x.dtype === 'f16' && accepts[i] !== 'float' ? applyOp(parts, widenOp, {}, [x])[0] : x,
  )
  return converted as readonly Tensor[] as In // map keeps the tuple's length
}
