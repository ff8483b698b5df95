// The loop around a method: it feeds batches, writes metrics, saves and resumes, and measures kNN
// accuracy as it goes. What it writes to metrics.jsonl depends on the configuration alone, never on
// the clock.

import { countSteps } from '../data/loader.ts'
import { type Dataset, type Split, isLabelled, subset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { recipeOf } from '../methods/views.ts'
import { type Trainer, buildTrainer, measured } from './build.ts'
import type { AnyConfig, RunConfig, TrainConfig } from './config.ts'
import { type Feed, type Resident, openFeed } from './feed.ts'
import { checkResumable, fingerprint } from './fingerprint.ts'
import { diverged, notFinite } from './finite.ts'
import { changesSince, settingsMetadata } from './history.ts'
import { explained, keepChanges } from './resume.ts'
import { Losses, badWeights } from './losses.ts'
import { KnnProbe } from './knn.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import type { Progress } from './progress.ts'
import type { Metric, RunFolder } from './run-folder.ts'
import { type State, loadTrainer, saveTrainer } from './trainer-state.ts'

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

/** Builds the trainer and checks it against the data. Throws Error in words; nothing has been
 *  written yet. */
export async function prepare(
  gpu: Gpu,
  config: TrainConfig,
  data: Split,
  { capture = true, resident = 'auto' }: Manner = {},
): Promise<Prepared> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = countSteps(images, { batch: config.batch })
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

/** One training, into a fresh run folder or a resumed one, to its end or to Ctrl-C. */
export class Training {
  readonly #prepared: Prepared
  readonly #run: RunFolder
  readonly #progress: Progress
  /** Set by Ctrl-C: the step under way is finished and saved, and training ends. */
  readonly #stop: { requested: boolean }
  readonly #losses: Losses
  #images: Promise<string> | null = null // the fingerprint of what it is trained on
  #best = -Infinity
  #saved = -1 // the step of the last checkpoint
  #path = '' // and its file
  #reason: string | null = null // why a step was not replayed, as last told
  #traced = 0 // steps that are traced to be replayed later, and need no reason

  constructor(prepared: Prepared, run: RunFolder, progress: Progress, stop: { requested: boolean }) {
    this.#prepared = prepared
    this.#run = run
    this.#progress = progress
    this.#stop = stop
    this.#losses = new Losses(prepared, run, progress, (what) => this.#diverged(what))
  }

  /** Steps from the beginning to the end. */
  get total(): number {
    return this.#prepared.config.epochs * this.#prepared.stepsPerEpoch
  }

  /** Trains to the end, or until a stop is requested, from the folder's newest checkpoint when it
   *  has one. Throws what went wrong; the last checkpoint is then intact. */
  async finish({ resumed = false } = {}): Promise<Outcome> {
    const { state } = this.#prepared.trainer
    await this.#resume(resumed)
    if (this.#saved < 0) await this.#begin()
    while (state.step < this.total && !this.#stop.requested) await this.#epoch()
    await this.#losses.drain()
    if (this.#saved < state.step) await this.#save()
    else if (state.step >= this.total) await this.#measureEnd()
    return outcomeOf(this.#run, { step: state.step, total: this.total, loss: this.#losses.last })
  }

  /** Puts the training back to the newest checkpoint; what was measured after it is measured
   *  again. */
  async #resume(resumed: boolean) {
    const { config, gpu, images, trainer } = this.#prepared
    const { dir } = this.#run
    const { checkpoint, damaged } = await this.#run.latest()
    for (const line of damaged) this.#progress.note(line)
    if (checkpoint) {
      const { step } = checkpoint
      const bank = config.method === 'memory-bank'
      await explained(changesSince(checkpoint.metadata, config), async () => {
        await checkResumable(images, checkpoint, { dir, bank, total: this.total })
        loadTrainer(gpu, trainer, checkpoint)
      })
      this.#saved = step
      this.#path = checkpoint.path
      this.#progress.note(`${dir}: going on from step ${step} of ${this.total}`)
    } else if (resumed) this.#progress.note(`${dir}: there is no checkpoint yet, beginning at step 0`)
    await this.#run.truncateMetrics(this.#saved)
    await keepChanges(this.#run, this.#progress, { config, checkpoint })
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
    const { config, feed, stepsPerEpoch, trainer } = this.#prepared
    const { state } = trainer
    const { batch, seed } = config
    const [epoch, start] = [Math.floor(state.step / stepsPerEpoch), state.step % stepsPerEpoch]
    for await (const { images, indices } of feed({ batch, seed, epoch, start })) {
      const loss = trainer.step(images, indices)
      this.#explain(trainer.captured.reason)
      await this.#losses.add(state.step, loss)
      if (state.step % stepsPerEpoch === 0) break // what belongs to the epoch's end comes before its checkpoint
      if (this.#stop.requested) return
      if (this.#isDue()) await this.#save()
    }
    await this.#losses.drain()
    const isDue = config.checkpointEvery === 0 || this.#isDue()
    // what is not finite is not worth measuring
    const saved = isDue || this.#isMeasured(epoch + 1) ? await this.#state() : null
    const best = await this.#measure(epoch + 1)
    if (isDue || best) await this.#save(best, saved)
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

  #isMeasured(epoch: number): boolean {
    const { epochs, knn } = this.#prepared.config
    return epoch === epochs || (knn.every > 0 && epoch % knn.every === 0)
  }

  /** Measures kNN accuracy when it is due, and returns whether it is the best yet. */
  async #measure(epoch: number): Promise<boolean> {
    const { config, probe, trainer } = this.#prepared
    if (!probe || !this.#isMeasured(epoch)) return false
    const knn = await probe.ofEncoder(measured(config, trainer))
    this.#tell({ step: trainer.state.step, epoch, knn })
    const best = knn > this.#best
    this.#best = Math.max(knn, this.#best)
    return best
  }

  /** Measures the end of a run that was made to end where it is. */
  async #measureEnd() {
    const { step } = this.#prepared.trainer.state
    const isMeasured = (await this.#run.metrics()).some(
      (metric) => metric.step === step && metric.knn !== undefined,
    )
    if (!isMeasured && step > 0) await this.#measure(this.#prepared.config.epochs)
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

  /** What a checkpoint holds. Throws Error when there is a value in it that is not finite. */
  async #state(): Promise<State> {
    const { config, gpu, images, trainer } = this.#prepared
    await this.#losses.drain() // every metric up to the checkpoint is on disk before it
    const { tensors, metadata } = await saveTrainer(gpu, trainer)
    const bad = notFinite(tensors)
    if (bad.length > 0) throw this.#diverged(badWeights(bad, trainer.state.step))
    const known = { images: await (this.#images ??= fingerprint(images)), ...settingsMetadata(config) }
    return { tensors, metadata: { ...metadata, ...known } }
  }

  async #save(best = false, saved: State | null = null) {
    const { step } = this.#prepared.trainer.state
    const { tensors, metadata } = saved ?? (await this.#state())
    this.#path = await this.#run.saveCheckpoint(step, tensors, metadata, { best })
    this.#saved = step
  }

  #diverged(what: string): Error {
    const { method, schedule } = this.#prepared.config
    const { dir } = this.#run
    if (this.#saved < 0)
      return new Error(`${what}; there is no checkpoint of it: start again with another --out`)
    return diverged(what, { method, dir, lr: schedule.lr, step: this.#saved, path: this.#path })
  }
}
