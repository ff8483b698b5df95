// What may be used once in a step, such as a mask of random numbers: who took it first.

/** Names, each with what has claimed it. */
export class Claims {
  readonly #taken = new Map<string, object>()

  /** False if another one has the name already. */
  take(name: string, by: object): boolean {
    const first = this.#taken.get(name)
    if (first === undefined) this.#taken.set(name, by)
    return first === undefined || first === by
  }

  /** Gives all names back. */
  clear() {
    this.#taken.clear()
  }
}
