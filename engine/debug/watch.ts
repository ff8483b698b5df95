// Runs a body under an observer, then puts back what it changed: variables that kernels wrote, and
// the counters of `everyStep`.

import type { Machine, Tensor } from '../../kernels/op.ts'
import { callback, checkValue, onGpu } from '../../kernels/options.ts'
import { type Assembly, partsOf } from '../assemble.ts'
import type { Observer } from '../observe.ts'
import type { Storage } from '../memory.ts'

/** The part of an observer that a tool writes. */
export type Watcher = Pick<Observer, 'op' | 'kernel'>

/** Runs `body` under a watcher. Frees its tensors, and puts back what it changed. Throws in the
 *  name of `owner`: Error within a step, for an async body, and what the body throws. */
export function watched(owner: string, gpu: Machine, body: () => unknown, watcher: Watcher) {
  checkValue(owner, 'gpu', gpu, onGpu)
  checkValue(owner, 'body', body, callback)
  const parts = partsOf(gpu)
  if (parts.steps.running) throw new Error(`${owner}: it cannot run inside a step`)
  parts.commands.flush()
  const before = new Before(parts)
  const observer: Observer = {
    isDry: false,
    op: watcher.op,
    kernel(call) {
      before.keep(call.updates)
      return watcher.kernel(call)
    },
    counted: (undo) => void before.undos.unshift(undo),
  }
  const end = `the body of ${owner}` as const
  const run = () => parts.observing.watch(owner, observer, () => notAsync(owner, body()))
  try {
    parts.memory.scope(run, () => [], end)
  } finally {
    before.putBack()
  }
}

function notAsync(owner: string, result: unknown) {
  if (!(result instanceof Promise)) return
  result.catch(() => {}) // its own error is dropped for the one below
  throw new Error(`${owner}: the body must not be async; await outside of it`)
}

/** What a body changed, as it was before. */
class Before {
  readonly undos: (() => void)[] = []
  readonly #parts: Assembly
  readonly #copies = new Map<Storage, Storage>()

  constructor(parts: Assembly) {
    this.#parts = parts
  }

  /** Copies variables that are about to be written for the first time. */
  keep(variables: readonly Tensor[]) {
    const { tensors, memory, commands } = this.#parts
    for (const storage of tensors.storages(variables)) {
      if (this.#copies.has(storage)) continue
      const copy = memory.unscoped(() => memory.alloc(storage.bytes))
      this.#copies.set(storage, copy)
      commands.copy(storage, copy)
      commands.flush() // else a body that throws drops the copy
    }
  }

  putBack() {
    const { memory, commands } = this.#parts
    for (const [storage, copy] of this.#copies) {
      if (storage.block) commands.copy(copy, storage)
      memory.release(copy)
    }
    commands.flush()
    for (const undo of this.undos) undo()
  }
}
