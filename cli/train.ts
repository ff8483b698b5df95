// The loop around a method: it feeds batches, writes metrics, saves and resumes, and measures kNN accuracy as it goes.
// What it writes to metrics.jsonl depends on the configuration alone, never on the clock.

import { steps } from '../data/loader.ts'
import { type Dataset, type Split, isLabelled, subset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { recipeOf } from '../methods/views.ts'
import { type Trainer, buildTrainer, measured } from './build.ts'
import type { AnyConfig, RunConfig, TrainConfig } from './config.ts'
import { type Feed, type Resident, openFeed } from './feed.ts'
import { checkResumable, fingerprint } from './fingerprint.ts'
import { KnnProbe } from './knn.ts'
import type { Progress } from './progress.ts'
import type { Metric, RunFolder } from './run-folder.ts'
import { loadTrainer, saveTrainer } from './trainer-state.ts'

/** All that a training needs before it has a folder. */
export interface Prepared {
  readonly gpu: Gpu
  readonly config: AnyConfig
  readonly images: Dataset
  readonly feed: Feed
  readonly trainer: Trainer
  readonly stepsPerEpoch: number
  /** Null when the set has no labels or no test images. */
  readonly probe: KnnProbe | null
}

/** The images that a configuration trains on. */
export const trainingImages = (
  { subset: count, seed }: Pick<RunConfig, 'subset' | 'seed'>,
  { train }: Split,
): Dataset => (count === null ? train : subset(train, count, seed))

/** How a training runs; its numbers are the same. */
export interface Manner {
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean | undefined
  readonly resident?: Resident | undefined
}

/** Builds the trainer and checks it against the data. Throws Error in words; nothing has been written yet. */
export async function prepare(
  gpu: Gpu,
  config: TrainConfig,
  data: Split,
  { capture = true, resident = 'auto' }: Manner = {},
): Promise<Prepared> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = steps(images, { batch: config.batch })
  const trainer = buildTrainer(gpu, config, { stepsPerEpoch, images: images.size, capture })
  const probe = probeOf(gpu, config, images, data.test)
  const feed = await openFeed(gpu, images, resident)
  return { gpu, config, images, feed, trainer, stepsPerEpoch, probe }
}

/** What measures kNN accuracy, or null when the set has no labels or no test images. */
export const probeOf = (
  gpu: Gpu,
  { views, knn }: AnyConfig,
  train: Dataset,
  test: Dataset,
): KnnProbe | null =>
  isLabelled(train) && isLabelled(test) ? new KnnProbe(gpu, { train, test }, recipeOf(views, 0), knn) : null

/** How a training ended. Accuracies are kNN top-1 in percent, null where they were not measured. */
export interface Outcome {
  readonly finished: boolean
  readonly step: number
  readonly steps: number
  readonly loss: number | null
  readonly pixels: number | null
  readonly untrained: number | null
  readonly trained: number | null
}

const LATE = 2 // steps whose loss is still on its way: the GPU has work, and what waits for it stays bounded

/** One training, into a fresh run folder or a resumed one, to its end or to Ctrl-C. */
export class Training {
  readonly #prepared: Prepared
  readonly #run: RunFolder
  readonly #progress: Progress
  /** Set by Ctrl-C: the step under way is finished and saved, and training ends. */
  readonly #stop: { requested: boolean }
  readonly #pending: { step: number; loss: Promise<Float32Array> }[] = []
  #images: Promise<string> | null = null // the fingerprint of what it is trained on
  #best = -Infinity
  #saved = -1 // the step of the last checkpoint
  #loss: number | null = null
  #reason: string | null = null // why a step was not replayed, as last told
  #traced = 0 // steps that are traced to be replayed later, and need no reason

  constructor(prepared: Prepared, run: RunFolder, progress: Progress, stop: { requested: boolean }) {
    this.#prepared = prepared
    this.#run = run
    this.#progress = progress
    this.#stop = stop
  }

  /** Steps from the beginning to the end. */
  get total(): number {
    return this.#prepared.config.epochs * this.#prepared.stepsPerEpoch
  }

  /** Trains to the end, or until a stop is requested, from the folder's newest checkpoint when it has one. Throws what went
   *  wrong; the last checkpoint is then intact. */
  async finish({ resumed = false } = {}): Promise<Outcome> {
    const { state } = this.#prepared.trainer
    await this.#resume(resumed)
    if (this.#saved < 0) await this.#begin()
    while (state.step < this.total && !this.#stop.requested) await this.#epoch()
    await this.#drain(0)
    if (this.#saved < state.step) await this.#save()
    return this.#outcome()
  }

  /** Puts the training back to the newest checkpoint; what was measured after it is measured again. */
  async #resume(resumed: boolean) {
    const { config, gpu, images, trainer } = this.#prepared
    const { dir } = this.#run
    const { checkpoint, damaged } = await this.#run.latest()
    for (const line of damaged) this.#progress.note(line)
    if (checkpoint) {
      const { step } = checkpoint
      const bank = config.method === 'memory-bank'
      await checkResumable(images, checkpoint, { dir, bank, total: this.total })
      loadTrainer(gpu, trainer, checkpoint)
      this.#saved = step
      this.#progress.note(`${dir}: going on from step ${step} of ${this.total}`)
    } else if (resumed) this.#progress.note(`${dir}: there is no checkpoint yet, beginning at step 0`)
    await this.#run.truncateMetrics(this.#saved)
    for (const { knn } of await this.#run.metrics()) this.#best = Math.max(this.#best, knn ?? -Infinity)
  }

  /** Measures what there is to beat, and saves the beginning. */
  async #begin() {
    const { config, probe, trainer } = this.#prepared
    if (probe) {
      const pixels = await probe.ofPixels()
      const untrained = await probe.ofEncoder(measured(config, trainer))
      this.#tell({ step: 0, epoch: 0, pixels, untrained })
    } else this.#progress.note('kNN accuracy is not measured: the set has no labels, or no test images')
    await this.#save()
  }

  async #epoch() {
    const { config, gpu, feed, stepsPerEpoch, trainer } = this.#prepared
    const { state } = trainer
    const { batch, seed } = config
    const [epoch, start] = [Math.floor(state.step / stepsPerEpoch), state.step % stepsPerEpoch]
    for await (const { images, indices } of feed({ batch, seed, epoch, start })) {
      const loss = trainer.step(images, indices)
      this.#explain(trainer.captured.reason)
      const reading = gpu.read(loss)
      reading.catch(() => undefined) // thrown when its turn comes; until then it is not unhandled
      this.#pending.push({ step: state.step, loss: reading })
      await this.#drain(LATE)
      if (state.step % stepsPerEpoch === 0) break // what belongs to the epoch's end comes before its checkpoint
      if (this.#stop.requested) return
      if (this.#isDue()) await this.#save()
    }
    await this.#drain(0)
    const best = await this.#measure(epoch + 1)
    if (config.checkpointEvery === 0 || best || this.#isDue()) await this.#save(best)
  }

  /** Tells once why steps are run one by one instead of replayed: slower, to the same bits. */
  #explain(reason: string | null) {
    if (this.#traced++ < 2) return
    if (reason !== null && reason !== this.#reason)
      this.#progress.note(`step ${this.#prepared.trainer.state.step} was not replayed: ${reason}`)
    this.#reason = reason ?? this.#reason
  }

  #isDue(): boolean {
    const { checkpointEvery } = this.#prepared.config
    return checkpointEvery > 0 && this.#prepared.trainer.state.step % checkpointEvery === 0
  }

  /** Waits for losses until at most `most` are still on their way. */
  async #drain(most: number) {
    while (this.#pending.length > most) {
      const first = this.#pending.shift()
      if (!first) return
      this.#log(first.step, [...(await first.loss)])
    }
  }

  #log(step: number, [loss = NaN, ...others]: readonly number[]) {
    const { config, stepsPerEpoch, trainer } = this.#prepared
    if (!Number.isFinite(loss))
      throw new Error(
        `the loss became ${loss} at step ${step}; the checkpoint of step ${Math.max(0, this.#saved)} is intact; lower --lr or raise --temperature`,
      )
    this.#loss = loss
    const names = trainer.terms?.slice(1) ?? []
    const terms = Object.fromEntries(others.map((value, i) => [names[i] ?? `${i}`, value]))
    const lr = trainer.schedule(step - 1)
    this.#run.append({ step, epoch: step / stepsPerEpoch, loss, ...(others.length > 0 && { terms }), lr })
    this.#progress.update(step, { loss, images: config.batch })
  }

  /** Measures kNN accuracy when it is due, and returns whether it is the best yet. */
  async #measure(epoch: number): Promise<boolean> {
    const { config, probe, trainer } = this.#prepared
    const due = epoch === config.epochs || (config.knn.every > 0 && epoch % config.knn.every === 0)
    if (!probe || !due) return false
    const knn = await probe.ofEncoder(measured(config, trainer))
    this.#tell({ step: trainer.state.step, epoch, knn })
    const best = knn > this.#best
    this.#best = Math.max(knn, this.#best)
    return best
  }

  #tell(metric: Metric) {
    this.#run.append(metric)
    const percent = (value: number | undefined) => `${(value ?? NaN).toFixed(1)}%`
    const words =
      metric.knn === undefined
        ? `before training, kNN top-1: raw pixels ${percent(metric.pixels)}, untrained encoder ${percent(metric.untrained)}`
        : `epoch ${metric.epoch}, kNN top-1: ${percent(metric.knn)}`
    this.#progress.note(words, metric)
  }

  async #save(best = false) {
    const { gpu, images, trainer } = this.#prepared
    await this.#drain(0) // every metric up to the checkpoint is on disk before it
    const { tensors, metadata } = await saveTrainer(gpu, trainer)
    const known = { ...metadata, images: await (this.#images ??= fingerprint(images)) }
    await this.#run.saveCheckpoint(trainer.state.step, tensors, known, { best })
    this.#saved = trainer.state.step
  }

  async #outcome(): Promise<Outcome> {
    const metrics = await this.#run.metrics()
    const last = (key: 'loss' | 'pixels' | 'untrained' | 'knn') =>
      metrics.findLast((m) => m[key] !== undefined)?.[key] ?? null
    const { step } = this.#prepared.trainer.state
    return {
      finished: step >= this.total,
      step,
      steps: this.total,
      loss: this.#loss ?? last('loss'),
      pixels: last('pixels'),
      untrained: last('untrained'),
      trained: last('knn'),
    }
  }
}
