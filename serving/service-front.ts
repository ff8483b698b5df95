// What an embedder and a searcher have in common: a service, its state and its end.

import type { Gpu } from '../engine/gpu.ts'
import type { Service, ServiceStats } from './service.ts'

/** Answers requests by a service, on a Gpu of its own. */
export class ServiceFront<Item, Result, On> {
  protected readonly service: Service<Item, Result, On>

  protected constructor(service: Service<Item, Result, On>) {
    this.service = service
  }

  /** Returns counts and durations so far. */
  stats(): ServiceStats {
    return this.service.stats()
  }

  /** Resolves to the Gpu in use, null while there is none. It belongs to the service: do not
   *  destroy it. */
  gpu(): Promise<Gpu | null> {
    return this.service.gpu()
  }

  /** Refuses new requests, finishes those that were taken, and destroys the Gpu. */
  close(): Promise<void> {
    return this.service.close()
  }

  /** Calls `close` at the end of a block with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
