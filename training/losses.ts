// The losses of a training on their way from the GPU to metrics.jsonl and the screen.

import type { Tensor } from '../kernels/op.ts'
import { someOf } from './finite.ts'
import type { Prepared } from './prepare.ts'
import type { Progress } from './progress.ts'
import type { TrainingStorage } from './storage.ts'

const LATE = 2 // steps whose loss is still on its way: the GPU has work, and what waits for it stays bounded
const MOST_SKIPPED = 20 // steps in a row: by then a scale of 65,536 has been halved to 1, and could not help more

/** Reads losses a little later than they are computed, and writes each down in its turn. */
export class Losses {
  /** The last loss that was finite. */
  last: number | null = null
  readonly #prepared: Prepared
  readonly #storage: TrainingStorage
  readonly #progress: Progress
  /** Says what came of a loss that ends the training. */
  readonly #diverged: (what: string) => Error
  readonly #pending: { readonly step: number; readonly loss: Promise<Float32Array> }[] = []
  #skipped = 0 // steps in a row, at the end so far

  constructor(
    prepared: Prepared,
    storage: TrainingStorage,
    progress: Progress,
    diverged: (what: string) => Error,
  ) {
    this.#prepared = prepared
    this.#storage = storage
    this.#progress = progress
    this.#diverged = diverged
  }

  /** Takes the loss of the step that was just commanded. Throws Error once a loss ends the
   * training. */
  async add(step: number, loss: Tensor) {
    const reading = this.#prepared.gpu.read(loss)
    reading.catch(() => undefined) // thrown when its turn comes; until then it is not unhandled
    this.#pending.push({ step, loss: reading })
    await this.drain(LATE)
  }

  /** Waits for losses until at most `most` are still on their way. Throws Error once a loss ends
   * the training. */
  async drain(most = 0) {
    while (this.#pending.length > most) {
      const first = this.#pending.shift()
      if (!first) return
      await this.#log(first.step, [...(await first.loss)])
    }
  }

  async #log(step: number, [loss = NaN, ...others]: readonly number[]) {
    const { config, stepsPerEpoch, trainer } = this.#prepared
    const lr = trainer.schedule(step - 1)
    const at = { step, epoch: step / stepsPerEpoch }
    if (!Number.isFinite(loss)) {
      this.#skip(step, loss)
      await this.#storage.append({ ...at, skipped: true, lr })
      return
    }
    this.#skipped = 0
    this.last = loss
    const names = trainer.terms?.slice(1) ?? []
    const terms = Object.fromEntries(others.map((value, i) => [names[i] ?? `${i}`, value]))
    await this.#storage.append({ ...at, loss, ...(others.length > 0 && { terms }), lr })
    this.#progress.update(step, { epoch: at.epoch, loss, lr, images: config.batch })
  }

  /** Passes over a loss that is not finite where the loss is scaled, as the scaler has skipped its
   * step; unless there are too many of them. Throws Error otherwise. */
  #skip(step: number, loss: number) {
    const isScaled = 'scaler.scale' in this.#prepared.trainer.kept.variables
    if (!isScaled) throw this.#diverged(`the loss became ${loss} at step ${step}`)
    if (++this.#skipped > MOST_SKIPPED)
      throw this.#diverged(
        `the loss was not finite ${this.#skipped} steps in a row, up to step ${step}`,
      )
    this.#progress.note(
      `step ${step} was skipped: its loss was ${loss}, and the scale of the loss is halved`,
    )
  }
}

/** The Error's beginning for weights that are not finite. */
export const badWeights = (names: readonly string[], step: number) =>
  `the weights are no longer finite after step ${step} (${someOf(names)}) and were not saved`
