// How fast a training is, and when it will end.

const REMEMBERED = 30 // steps

/** Measures speed over the last steps. */
export class Speed {
  #steps: { readonly at: number; readonly images: number }[] = []

  /** Forgets the past: the training began, or went on. */
  restart() {
    this.#steps = []
  }

  /** Notes a step of so many images. */
  add(images: number) {
    this.#steps.push({ at: performance.now(), images })
    if (this.#steps.length > REMEMBERED) this.#steps.shift()
  }

  /** Steps per second, null while too few are known. */
  get stepsPerSecond(): number | null {
    const [first, last] = [this.#steps[0], this.#steps.at(-1)]
    if (!first || !last || this.#steps.length < 4) return null
    return ((this.#steps.length - 1) * 1000) / Math.max(1, last.at - first.at)
  }

  /** Pictures per second, null while too few steps are known. */
  get imagesPerSecond(): number | null {
    const { stepsPerSecond } = this
    return stepsPerSecond === null ? null : stepsPerSecond * (this.#steps.at(-1)?.images ?? 0)
  }
}

/** Words for a timeLeft: 'less than a minute', '4 min', '2 h 10 min'. */
export function timeLeft(seconds: number): string {
  if (seconds < 10) return 'a few seconds'
  if (seconds < 60) return `${Math.round(seconds / 5) * 5} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
