// Runs an op: checks its inputs, scopes its memory, and records its backward on the tape.

import { type Op, type Run, type Shape, type Tensor, type TensorList, show } from '../kernels/op.ts'
import type { Memory } from './memory.ts'
import type { Tape } from './tape.ts'
import type { Tensors } from './tensors.ts'
import { checkDtypes } from './values.ts'

/** The parts of a Gpu that ops use. */
export interface GpuParts {
  readonly run: Run
  /** Runs kernels of ops that no backward pass will follow. */
  readonly inferenceRun: Run
  readonly memory: Memory
  readonly tensors: Tensors
  readonly tape: Tape
  /** Tensors that require a gradient. */
  readonly requiresGrad: WeakSet<Tensor>
}

/** Returns the op's outputs. Throws the errors of its `shape`, and ShapeError for inputs of dtypes
 *  that it does not accept. */
export function applyOp<In extends TensorList, Out extends TensorList, A>(
  { memory, tensors, tape, requiresGrad, run, inferenceRun }: GpuParts,
  op: Op<In, Out, A>,
  attrs: A,
  inputs: In,
): Readonly<Out> {
  tensors.storages(inputs) // throws for a freed tensor, or another Gpu's
  checkDtypes(op, inputs)
  // map keeps the tuple's length
  const shapes = inputs.map((t) => t.shape) as { [I in keyof In]: Shape }
  op.shape(attrs, ...shapes)
  const needs = inputs.map((t) => requiresGrad.has(t))
  const { backward } = op
  const isTaped = backward !== undefined && !tape.paused && needs.includes(true)
  const { result: outputs } = memory.scope(
    () => op.forward(isTaped ? run : inferenceRun, attrs, ...inputs),
    (made) => tensors.storages(made),
  )
  if (!isTaped) return outputs
  for (const output of outputs) requiresGrad.add(output)
  const findChanged = tensors.watch([...inputs, ...outputs])
  tape.record(inputs, outputs, (cotangents, needed) => {
    const changed = findChanged()
    if (changed)
      throw new Error(
        `${op.name}: a variable ${show(changed.shape)} was changed between forward and backward; call backward first`,
      )
    const both = needs.map((isNeeded, i) => isNeeded && needed[i] === true)
    return memory.scope(
      () => backward.call(op, run, attrs, cotangents, inputs, outputs, both),
      (made) => tensors.storages(made),
    ).result
  })
  return outputs
}
