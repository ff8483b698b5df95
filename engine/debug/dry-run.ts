// Runs a body on paper: shapes are checked and ops are told of, but no memory is taken, and no
// kernel is compiled or run.

import { Trace } from '../capture/trace.ts'
import { partsOf } from '../assemble.ts'
import type { DType, Machine, Shape, Tensor } from '../../kernels/op.ts'
import type { Watcher } from './watch.ts'

/** Runs `body` on a tensor of this shape, without gradients, and takes back the counters of
 *  `everyStep`. Throws ShapeError, Error within a step, and what the body throws. */
export function dryRun(
  owner: string,
  gpu: Machine,
  input: { readonly shape: Shape; readonly dtype: DType },
  body: (x: Tensor) => Tensor,
  watcher: Watcher,
) {
  const { steps, tensors, tape, observing, commands } = partsOf(gpu)
  if (steps.running) throw new Error(`${owner}: it cannot run inside a step`)
  commands.flush()
  const undos: (() => void)[] = []
  const counted = (undo: () => void) => void undos.unshift(undo)
  const run = () => void tape.pause(() => body(tensors.alloc(input)))
  try {
    observing.watch(owner, { isDry: true, ...watcher, counted }, () =>
      steps.record(run, new Trace(null, 'never')),
    )
  } finally {
    for (const undo of undos) undo()
  }
}
