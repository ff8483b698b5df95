// Runs an op: checks its inputs, scopes its memory, and records its backward on the tape.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  type TensorList as Inputs,
  show,
} from '../kernels/op.ts'
import { storedAs, widenOp } from '../kernels/wgsl/storage.ts'
import type { Memory } from './memory.ts'
import type { Tape } from './tape.ts'
import type { Tensors } from './tensors.ts'
import { checkDtypes } from './values.ts'

/** The parts of a Gpu that ops use. */
export interface Parts {
  readonly run: Run
  readonly memory: Memory
  readonly tensors: Tensors
  readonly tape: Tape
  /** Tensors that a gradient may flow to. */
  readonly wanted: WeakSet<Tensor>
}

/** The op's outputs. Throws what its `shape` throws, and ShapeError for inputs of other dtypes than
 *  it accepts. */
export function applyOp<In extends Inputs, Out extends Inputs, A>(
  parts: Parts,
  op: Op<In, Out, A>,
  attrs: A,
  given: In,
): Readonly<Out> {
  const { memory, tensors, tape, wanted, run } = parts
  tensors.storages(given) // throws for one that is gone, or another Gpu's
  const inputs = accepted(parts, op, given)
  checkDtypes(op, inputs)
  const shapes = inputs.map((t) => t.shape) as { [I in keyof In]: Shape } // map keeps the tuple's length
  op.shape(attrs, ...shapes)
  const needs = inputs.map((t) => wanted.has(t))
  const { backward } = op
  const isTaped = backward !== undefined && !tape.paused && needs.includes(true)
  const { result: outputs } = memory.scope(
    () => op.forward(run, attrs, ...inputs),
    (made) => tensors.storages(made),
  )
  if (!isTaped) return outputs
  for (const output of outputs) wanted.add(output)
  const unchanged = tensors.watch([...inputs, ...outputs])
  const pullback = (
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    sought: readonly boolean[],
    addend: Tensor | null,
  ) => {
    const changed = unchanged()
    if (changed)
      throw new Error(
        `${op.name}: a variable ${show(changed.shape)} was changed between forward and backward; call backward first`,
      )
    const asked = needs.map((isNeeded, i) => isNeeded && sought[i] === true)
    return memory.scope(
      () => {
        const made = backward.call(op, run, attrs, cotangents, inputs, outputs, asked, addend)
        return made.map((d, i) => d && storedAs(run, inputs[i]?.dtype ?? 'f32', d))
      },
      (made) => tensors.storages(made),
    ).result
  }
  tape.record({ inputs, outputs, pullback, takesAddend: op.takesAddend ?? false })
  return outputs
}

/** The inputs, those of f16 converted where the op takes f32. */
function accepted<In extends Inputs>(
  parts: Parts,
  { accepts = [] }: Pick<Op<In>, 'accepts'>,
  inputs: In,
): In {
  const converted = inputs.map((x, i) =>
    x.dtype === 'f16' && accepts[i] !== 'float' ? applyOp(parts, widenOp, {}, [x])[0] : x,
  )
  return converted as readonly Tensor[] as In // map keeps the tuple's length
}
