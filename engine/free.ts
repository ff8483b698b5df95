// Frees variables, models, optimizers and methods at once, without waiting for the garbage
// collector.

import type { Tensor } from '../kernels/op.ts'
import { describe } from '../kernels/options.ts'
import { Captured } from './capture/capture.ts'
import type { Commands } from './commands.ts'
import type { Memory } from './memory.ts'
import { ownedBy } from './owned.ts'
import { tensorsIn } from './tensors-in.ts'
import type { Tensors } from './tensors.ts'
import type { StepRunner } from './steps.ts'

interface Machinery {
  readonly tensors: Tensors
  readonly memory: Memory
  readonly commands: Commands
  readonly steps: StepRunner
}

/** Frees the tensors in `things`, and the plans of captured steps there. Of an optimizer, frees the
 *  variables that it made, not its parameters. Throws Error, before anything is freed, within a
 *  step, for a thing without tensors, and for another Gpu's tensor. */
export function free(
  { tensors, memory, commands, steps: { running } }: Machinery,
  things: readonly unknown[],
) {
  if (running) throw new Error('Gpu.free: nothing can be freed within a step; free it after')
  const all = new Set<Tensor>()
  const steps = new Set<{ release(): void }>()
  for (const [i, thing] of things.entries()) {
    const before = steps.size
    const own = tensorsIn(thing, (object) => {
      if (!(object instanceof Captured)) return ownedBy(object)
      steps.add(object)
      return []
    })
    if (own.size === 0 && steps.size === before)
      throw new Error(
        `Gpu.free: argument ${i} holds no tensors, got ${describe(thing)}; give variables, models or optimizers`,
      )
    for (const tensor of own) all.add(tensor)
  }
  tensors.checkOwn(all)
  commands.flush()
  for (const step of steps) step.release()
  memory.free(tensors.storagesAlive(all))
}
