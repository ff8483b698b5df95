// Keeps a second training from beginning while one runs.

/** Runs one body at a time. */
export class OneAtATime {
  #isTaken = false

  /** Throws Error while a body runs. */
  refuse() {
    if (this.#isTaken) throw new Error('a training runs already; pause it first')
  }

  /** Runs `body`. Rejects, and does not run it, while another runs. */
  async run<T>(body: () => Promise<T>): Promise<T> {
    this.refuse()
    this.#isTaken = true
    try {
      return await body()
    } finally {
      this.#isTaken = false
    }
  }
}
