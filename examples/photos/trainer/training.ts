// One training of the page: it begins, stops, goes on, and survives a lost device.

import {
  type Gpu,
  type Metric,
  type Split,
  type TrainConfig,
  type TrainingEvent,
  train,
} from 'kindred'
import type { Ended, Measurement, RunEvent, Tell } from '../common/api.ts'
import { theGpu } from './device.ts'
import { trained, untrained } from './encoder.ts'
import type { KeptStorage } from './kept-storage.ts'
import { findNeighbours } from './neighbours.ts'
import type { PhotoSet } from './photo-set.ts'
import { stepsOf } from './settings.ts'
import { splitOf } from './split.ts'
import { drawnViews } from './views.ts'

const SHOWN = 4 // pictures whose views are shown
const EVERY = 1500 // milliseconds between views

/** A training, and its pictures at the size that it reads. */
export class PhotoTraining {
  readonly storage: KeptStorage
  readonly #split: Split
  #stop: AbortController | null = null
  #viewsAt = -Infinity
  #isBeforeTold = false

  constructor(storage: KeptStorage, pictures: PhotoSet) {
    this.storage = storage
    this.#split = pictures.carried ?? splitOf(pictures, this.config.size)
  }

  /** The images that it reads. */
  get images(): Split {
    return this.#split
  }

  get config(): TrainConfig {
    return this.storage.config as unknown as TrainConfig // as `configFor` made it
  }

  get steps(): number {
    return stepsOf(this.config, this.#split.train.size)
  }

  get #perEpoch(): number {
    return Math.floor(this.#split.train.size / this.config.batch)
  }

  /** Where it is, by its newest checkpoint. */
  get ended(): Ended {
    const step = this.storage.newest?.step ?? 0
    return { isFinished: step >= this.steps, step, steps: this.steps }
  }

  pause() {
    this.#stop?.abort()
  }

  /** Makes the training longer. */
  async lengthen(steps: number) {
    const epochs = Math.ceil(steps / this.#perEpoch)
    await this.storage.writeConfig({ ...this.config, epochs: Math.max(epochs, this.config.epochs) })
  }

  /** Trains from the newest checkpoint to the end, or to a pause; on a new device when one is
   *  lost. */
  async run(tell: Tell<RunEvent>): Promise<Ended> {
    this.#stop = new AbortController()
    this.storage.tell = tell
    const { signal } = this.#stop
    const outcome = await train(() => this.#open(tell), this.#split, this.storage, {
      signal,
      onEvent: (event) => this.#hear(event, tell),
      evaluate: async ({ step, encoder, signal: ending }) => {
        const set = this.#split.train
        const gpu = await theGpu()
        const found = await findNeighbours(gpu, encoder, {
          config: this.config,
          set,
          signal: ending,
        })
        tell({ kind: 'neighbours', when: 'now', step, found })
        return {}
      },
    })
    await tell({ kind: 'last' })
    return { isFinished: outcome.finished, step: outcome.step, steps: outcome.steps }
  }

  #step = 0 // the last that was told

  async #open(tell: Tell<RunEvent>): Promise<Gpu> {
    tell({ kind: 'phase', words: 'Opening the GPU' })
    const gpu = await theGpu()
    await this.#tellBefore(gpu, tell)
    tell({ kind: 'phase', words: 'Preparing: the first steps compile their kernels' })
    return gpu
  }

  /** Tells which pictures were alike before the training. */
  async #tellBefore(gpu: Gpu, tell: Tell<RunEvent>) {
    if (this.#isBeforeTold) return
    tell({ kind: 'phase', words: 'Comparing the pictures before training' })
    const encoder = untrained(gpu, this.config)
    const set = this.#split.train
    const found = await findNeighbours(gpu, encoder, { config: this.config, set })
    gpu.free(encoder)
    tell({ kind: 'neighbours', when: 'before', step: 0, found })
    this.#isBeforeTold = true
  }

  /** Tells what is known of a training that was opened: its losses, and neighbours. */
  async look(tell: Tell<RunEvent>) {
    for (const event of history(await this.storage.metrics())) tell(event)
    const gpu = await theGpu()
    const { newest } = this.storage
    await this.#tellViews(newest?.step ?? 0, tell)
    await this.#tellBefore(gpu, tell)
    if (!newest || newest.step === 0) return
    const encoder = trained(gpu, this.config, newest)
    const set = this.#split.train
    const found = await findNeighbours(gpu, encoder, { config: this.config, set })
    gpu.free(encoder)
    await tell({ kind: 'neighbours', when: 'now', step: newest.step, found })
  }

  #hear(event: TrainingEvent, tell: Tell<RunEvent>) {
    if (event.event === 'start')
      tell({ kind: 'start', step: this.storage.newest?.step ?? 0, steps: event.steps })
    else if (event.event === 'step') {
      const { loss = NaN, images = 0 } = event.values
      this.#step = event.step
      tell({ kind: 'step', step: event.step, loss, images })
      void this.#tellViews(event.step, tell).catch(() => {}) // `train` throws what matters
    } else if ('lost' in event.data) {
      const from = this.storage.newest?.step ?? 0
      tell({ kind: 'lost', at: this.#step, from, reason: String(event.data.lost) })
    } else {
      const measured = measuredIn(event.data)
      tell(measured ? { kind: 'measured', measured } : { kind: 'note', text: event.text })
    }
  }

  async #tellViews(step: number, tell: Tell<RunEvent>) {
    const now = performance.now()
    if (now - this.#viewsAt < EVERY) return
    this.#viewsAt = now
    const { train: set } = this.#split
    const count = Math.min(SHOWN, set.size)
    const pictures = Array.from({ length: count }, (_, i) => Math.floor((i * set.size) / count))
    const views = await drawnViews(await theGpu(), this.config, { set, indices: pictures, step })
    tell({ kind: 'views', pictures, views })
  }
}

/** The losses and measurements of a training so far. */
function history(metrics: readonly Metric[]): RunEvent[] {
  const trainedOn = metrics.filter(({ loss }) => loss !== undefined)
  const steps = trainedOn.map(({ step }) => step)
  const losses = trainedOn.map(({ loss = NaN }) => loss)
  const measured = metrics.map(measuredIn).filter((each) => each !== null)
  return [
    { kind: 'losses', steps, losses },
    ...measured.map((each) => ({ kind: 'measured', measured: each }) as const),
  ]
}

/** What a metric says of the features, null if it measures none. */
function measuredIn(data: object): Measurement | null {
  const { step = 0, spread, knn, untrained: before, pixels } = data as Partial<Metric>
  if (spread === undefined) return null
  return {
    step,
    spread,
    ...(knn !== undefined && { knn }),
    ...(before !== undefined && { untrained: before }),
    ...(pixels !== undefined && { pixels }),
  }
}
