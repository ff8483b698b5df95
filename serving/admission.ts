// The door of a service. It counts the items inside, and refuses requests or lets them wait, in
// order, when there is no room.

import { QueueFullError } from './errors.ts'
import { onAbort } from './on-abort.ts'

interface Waiting {
  readonly count: number
  readonly enter: () => void
  readonly refuse: (reason: unknown) => void
}

/** Counts the items in a service of limited room. */
export class Admission {
  readonly #owner: string
  readonly #items: string
  readonly #most: number
  readonly #waiting: Waiting[] = []
  #inside = 0

  /** Takes at most `most` items. Messages begin with `owner` and call several items `items`. */
  constructor(owner: string, items: string, most: number) {
    this.#owner = owner
    this.#items = items
    this.#most = most
  }

  /** Number of items inside. */
  get inside(): number {
    return this.#inside
  }

  /** Number of items of requests that wait outside. */
  get outside(): number {
    return this.#waiting.reduce((sum, { count }) => sum + count, 0)
  }

  /** Resolves when `count` items have entered; they must `leave`. When there is no room it throws
   *  QueueFullError, or waits if `whenFull` is 'wait'. Throws RangeError for more items than there
   *  is ever room for, and the signal's reason when it aborts. */
  async enter(count: number, whenFull: 'refuse' | 'wait', signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (count > this.#most)
      throw new RangeError(
        `${this.#owner}: a request may have ${this.#most} ${this.#items} at most, the length of its queue, ` +
          `got ${count}; give fewer at a time`,
      )
    if (this.#waiting.length === 0 && this.#inside + count <= this.#most) {
      this.#inside += count
      return
    }
    if (whenFull === 'refuse')
      throw new QueueFullError(
        `${this.#owner}: its queue is full, ${this.#inside} of ${this.#most}; try again later`,
      )
    await this.#turn(count, signal)
  }

  /** Lets `count` items out, and those in that wait for their room. */
  leave(count: number) {
    this.#inside -= count
    this.#admit()
  }

  #admit() {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.#inside + next.count > this.#most) return
      this.#waiting.shift()
      this.#inside += next.count
      next.enter()
    }
  }

  /** Waits until there is room, behind those who wait already. */
  #turn(count: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        forget()
        act()
      }
      const one: Waiting = {
        count,
        enter: () => end(resolve),
        refuse: (reason) => end(() => reject(reason)),
      }
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(one), 1)
        one.refuse(signal?.reason)
        this.#admit() // a smaller request behind it may fit
      }
      const forget = onAbort(signal, giveUp)
      this.#waiting.push(one)
    })
  }
}
