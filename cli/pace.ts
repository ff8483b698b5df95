// The speed of a training, and the time that it has left.

import type { StepValues } from '../training/progress.ts'

const SPAN = 20_000 // milliseconds of steps, over which speed is measured

/** Steps made, and their time and images. */
interface Made {
  readonly ms: number
  readonly steps: number
  readonly images: number
}

/** Measures the speed over the last 20 seconds of steps, and estimates the time left. A step that
 *  ends after a note does not count: a measurement came before it. */
export class Pace {
  total = 0
  #every = 0 // steps from measurement to measurement
  #made: Made = { ms: 0, steps: 0, images: 0 }
  #marks: Made[] = []
  #last: { readonly at: number; readonly step: number } | null = null
  #noted: number | null = null // when the last note came, if after the last step
  #measured = { times: 0, ms: 0 }
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Begins a training of `total` steps, measured at its end and every so many steps, if any. */
  start(total: number, every = 0) {
    this.total = total
    this.#every = every
    this.#marks = [] // measuring begins after the first step, which compiles kernels and is slow
    this.#last = this.#noted = null
    this.#measured = { times: 0, ms: 0 }
  }

  /** Notes that a line was printed, as at the end of each measurement. */
  note() {
    this.#noted = this.#now()
  }

  /** Returns images per second, and seconds to the end of the training, with the measurements to
   *  come once one has been made. Both are undefined at first. */
  update(
    step: number,
    { images = 0 }: StepValues,
  ): { rate: number | undefined; eta: number | undefined } {
    this.#add(step, images)
    const [first, last] = [this.#marks[0], this.#marks.at(-1)]
    if (!first || !last || last.steps <= first.steps || last.ms <= first.ms)
      return { rate: undefined, eta: undefined }
    const seconds = (last.ms - first.ms) / 1000
    const done = last.images - first.images
    const left = (seconds / (last.steps - first.steps)) * Math.max(0, this.total - step)
    return {
      rate: done > 0 ? done / seconds : undefined,
      eta: this.total > 0 ? left + this.#measuring(step) : undefined,
    }
  }

  /** Adds a step to those made, or what came before it to the measurements. */
  #add(step: number, images: number) {
    const [at, last, noted] = [this.#now(), this.#last, this.#noted]
    this.#last = { at, step }
    this.#noted = null
    if (last && noted !== null) {
      if (this.#every === 0 || last.step % this.#every !== 0) return
      const { times, ms } = this.#measured
      this.#measured = { times: times + 1, ms: ms + noted - last.at }
      return
    }
    const { ms, ...made } = this.#made
    if (last)
      this.#made = {
        ms: ms + at - last.at,
        steps: made.steps + step - last.step,
        images: made.images + images,
      }
    const since = ({ ms: then }: Made) => this.#made.ms - then
    while (this.#marks[2] && since(this.#marks[1] ?? this.#made) > SPAN) this.#marks.shift()
    this.#marks.push(this.#made)
  }

  /** Returns the seconds of the measurements from this step on, that at its end included: their
   *  mean so far times their number. */
  #measuring(step: number): number {
    const { times, ms } = this.#measured
    if (times === 0) return 0
    const toCome = Math.ceil(this.total / this.#every) - Math.floor((step - 1) / this.#every)
    return ((ms / times) * toCome) / 1000
  }
}
