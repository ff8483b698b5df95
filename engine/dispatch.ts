// Runs one kernel: checks its arguments, finds its pipeline and memory, and collects its command.

import type { Dispatch, Kernel, Make, Tensor } from '../kernels/op.ts'
import type { Commands } from './commands.ts'
import type { Observing } from './observe.ts'
import { checkBindings, checkDispatch, checkGroups } from './params.ts'
import type { Pipelines } from './pipelines.ts'
import type { Tensors } from './tensors.ts'

interface Machinery {
  readonly commands: Commands
  readonly pipelines: Pipelines
  readonly tensors: Tensors
  readonly observing: Observing
}

/** Makes the function that runs a kernel and returns its new tensors. */
export const dispatcher =
  ({ commands, pipelines, tensors, observing }: Machinery) =>
  <const Makes extends readonly Make[] = []>(
    kernel: Kernel,
    dispatch: Dispatch<Makes>,
  ): Tensor[] => {
    commands.checkAlive()
    checkDispatch(kernel, dispatch)
    const { reads = [], updates = [], makes, params = {}, constants, groups } = dispatch
    const pipeline = observing.isDry ? null : pipelines.get(kernel, constants)
    const made = (makes ?? []).map((make) => tensors.alloc(make))
    checkBindings(kernel, reads.length, updates.length + made.length)
    tensors.storages(reads) // throws for a freed one, before any is copied
    const copies = pipeline && updates.length > 0 ? tensors.apartFrom(updates, reads) : null
    const storages = tensors.storages([...(copies?.reads ?? reads), ...updates, ...made])
    if (pipeline) tensors.countWrites(updates)
    const [x, y = 1, z = 1] = groups
    checkGroups(kernel, [x, y, z])
    const call = () => ({ kernel, reads, updates, made })
    const send = () => pipeline && commands.dispatch(pipeline, kernel, storages, params, [x, y, z])
    if (x * y * z > 0) observing.kernel(call, send)
    if (copies) tensors.release(copies.made)
    return made
  }
