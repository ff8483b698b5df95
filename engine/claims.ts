// Names that may be used once in a step, such as that of a mask of random numbers.

import type { Pass } from '../kernels/op.ts'

/** Knows who claimed each name. */
export class Claims {
  readonly #owners = new Map<string, object>()

  /** Claims a name for `by`. Returns false if another object has it. */
  take(name: string, by: object): boolean {
    const first = this.#owners.get(name)
    if (first === undefined) this.#owners.set(name, by)
    return first === undefined || first === by
  }

  /** Forgets all claims. */
  clear() {
    this.#owners.clear()
  }
}

interface Claiming {
  readonly steps: { readonly running: boolean; readonly claims: Claims }
  readonly tape: { readonly paused: boolean }
}

/** Implements `Gpu.claim`. */
export const claimed = ({ steps, tape }: Claiming, name: string, by: object, pass: Pass) =>
  tape.paused || steps.running !== (pass === 'forward') || steps.claims.take(name, by)
