// Runs an op: checks its inputs, scopes its memory, and records its backward on the tape.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  type TensorList as Inputs,
  show,
} from '../kernels/op.ts'
import type { Memory } from './memory.ts'
import type { Tape } from './tape.ts'
import type { Tensors } from './tensors.ts'
import { checkDtypes } from './values.ts'

/** The parts of a Gpu that ops use. */
export interface GpuParts {
  readonly run: Run
  /** The same for ops that no backward pass will follow. */
  readonly passing: Run
  readonly memory: Memory
  readonly tensors: Tensors
  readonly tape: Tape
  /** Tensors that a gradient may flow to. */
  readonly wanted: WeakSet<Tensor>
}

/** The op's outputs. Throws what its `shape` throws, and ShapeError for inputs of other dtypes than
 *  it accepts. */
export function applyOp<In extends Inputs, Out extends Inputs, A>(
  { memory, tensors, tape, wanted, run, passing }: GpuParts,
  op: Op<In, Out, A>,
  attrs: A,
  inputs: In,
): Readonly<Out> {
  tensors.storages(inputs) // throws for one that is gone, or another Gpu's
  checkDtypes(op, inputs)
  const shapes = inputs.map((t) => t.shape) as { [I in keyof In]: Shape } // map keeps the tuple's length
  op.shape(attrs, ...shapes)
  const needs = inputs.map((t) => wanted.has(t))
  const { backward } = op
  const isTaped = backward !== undefined && !tape.paused && needs.includes(true)
  const { result: outputs } = memory.scope(
    () => op.forward(isTaped ? run : passing, attrs, ...inputs),
    (made) => tensors.storages(made),
  )
  if (!isTaped) return outputs
  for (const output of outputs) wanted.add(output)
  const unchanged = tensors.watch([...inputs, ...outputs])
  const pullback = (
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    sought: readonly boolean[],
  ) => {
    const changed = unchanged()
    if (changed)
      throw new Error(
        `${op.name}: a variable ${show(changed.shape)} was changed between forward and backward; call backward first`,
      )
    const asked = needs.map((isNeeded, i) => isNeeded && sought[i] === true)
    return memory.scope(
      () => backward.call(op, run, attrs, cotangents, inputs, outputs, asked),
      (made) => tensors.storages(made),
    ).result
  }
  tape.record(inputs, outputs, pullback)
  return outputs
}
