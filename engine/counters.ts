// The actions of `everyStep`: counters of JavaScript, which a step advances. A step that throws, or
// that is only looked at, takes them back.

import { callback, checkValue } from '../kernels/options.ts'
import type { Commands } from './commands.ts'
import type { Observing } from './observe.ts'

interface Machinery {
  readonly commands: Commands
  readonly observing: Observing
}

interface Counted {
  readonly undo: () => void
  /** How often commands had been flushed. */
  readonly flushes: number
}

/** The counters of one Gpu. */
export class Counters {
  readonly #commands: Commands
  readonly #observing: Observing
  #counted: Counted[] | null = null // by the step that is running
  #isDry = false

  constructor({ commands, observing }: Machinery) {
    this.#commands = commands
    this.#observing = observing
  }

  /** Implements `Gpu.everyStep`. */
  everyStep(action: () => void, undo: (() => void) | undefined) {
    checkValue('Gpu.everyStep', 'action', action, callback)
    if (undo) checkValue('Gpu.everyStep', 'undo', undo, callback)
    if (this.#isDry && !undo) return // what could not be taken back
    const count = () => {
      action()
      if (undo) this.#note(once(undo))
    }
    const { trace } = this.#commands
    if (trace) trace.act(count)
    else count()
  }

  /** Runs a step, which may consist of others. If it throws, takes its counters back, the last one
   *  first. Those before a flush stay, since the commands that they counted were submitted. */
  during<T>(step: () => T): T {
    if (this.#counted) return step()
    const counted: Counted[] = (this.#counted = [])
    try {
      return step()
    } catch (error) {
      const { flushes } = this.#commands
      takeBack(counted.filter((one) => one.flushes === flushes))
      throw error
    } finally {
      this.#counted = null
    }
  }

  /** Runs a step that executes nothing, and takes all its counters back. Leaves out actions without
   *  an `undo`. */
  dry(step: () => void) {
    const counted: Counted[] = (this.#counted = [])
    this.#isDry = true
    try {
      step()
    } finally {
      this.#counted = null
      this.#isDry = false
      takeBack(counted)
    }
  }

  #note(undo: () => void) {
    this.#observing.counted(undo)
    this.#counted?.push({ undo, flushes: this.#commands.flushes })
  }
}

const takeBack = (counted: readonly Counted[]) => {
  for (const { undo } of counted.toReversed()) undo()
}

/** Makes a function that calls `undo` once, since a step and an observer of it may both do so. */
function once(undo: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) undo()
    isDone = true
  }
}
