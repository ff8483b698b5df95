// Reads the losses of a training from the GPU, writes them to the metrics and prints them.

import type { Tensor } from '../kernels/op.ts'
import { someOf } from '../engine/not-finite.ts'
import type { Prepared } from './prepare.ts'
import type { Progress } from './progress.ts'
import type { TrainingStorage } from './storage.ts'

const LATE = 2 // steps whose loss may be unread: the GPU has work, and the queue is bounded
const MOST_SKIPPED = 20 // steps in a row; after 16 a loss scale of 65,536 has been halved to 1

/** Reads losses up to 2 steps late, and writes them in order. */
export class Losses {
  /** Last finite loss. */
  last: number | null = null
  readonly #prepared: Prepared
  readonly #storage: TrainingStorage
  readonly #progress: Progress
  /** Makes the error of a loss that ends the training. */
  readonly #diverged: (what: string) => Error
  readonly #pending: { readonly step: number; readonly loss: Promise<Float32Array> }[] = []
  #skipped = 0 // steps in a row, up to the last

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

  /** Begins to read the loss of the last step. Throws Error for a loss that ends the training. */
  async add(step: number, loss: Tensor) {
    const reading = this.#prepared.gpu.read(loss)
    reading.catch(() => undefined) // `drain` throws it; this keeps it from being unhandled
    this.#pending.push({ step, loss: reading })
    await this.drain(LATE)
  }

  /** Waits until at most `most` losses are unread. Throws Error for a loss that ends the
   *  training. */
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

  /** Counts a loss that is not finite. The scaler, if any, has skipped its step. Throws Error
   *  without a scaler, and for more than 20 such losses in a row. */
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

/** Begins the error message for weights that are not finite. */
export const badWeights = (names: readonly string[], step: number) =>
  `the weights are no longer finite after step ${step} (${someOf(names)}) and were not saved`
