// The loop around a method: it feeds batches, writes metrics, saves and resumes, and measures kNN
// accuracy as it goes. What it writes to metrics.jsonl depends on the configuration alone, never on
// the clock.

import { countSteps } from '../data/loader.ts'
import { type Dataset, type Split, isLabelled, subset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { recipeOf } from '../methods/views.ts'
import { type Trainer, buildTrainer } from './build.ts'
import { resumeCommand } from './command.ts'
import type { AnyConfig, RunConfig, TrainConfig } from './config.ts'
import { type Feed, type Resident, openFeed } from './feed.ts'
import { type Digests, dataMetadata, digestsOf } from './fingerprint.ts'
import { diverged, notFinite } from './finite.ts'
import { type Change, changesSince, settingsMetadata } from './history.ts'
import { explained, keepChanges } from './resume.ts'
import { Losses, badWeights } from './losses.ts'
import { KnnProbe } from './knn.ts'
import { Measure } from './measure.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import type { Progress } from './progress.ts'
import { checkResumable, checkSettings } from './resumable.ts'
import type { RunFolder } from './run-folder.ts'
import { type State, loadTrainer, saveTrainer } from './trainer-state.ts'

/** All that a training needs before it has a folder. */
export interface Prepared {
  readonly gpu: Gpu
  readonly config: AnyConfig
  /** What was read. */
  readonly data: Split
  /** What of it is trained on. */
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
  return { gpu, config, data, images, feed, trainer, stepsPerEpoch, probe }
}

/** What measures kNN accuracy, or null when the set has no labels or no test images. */
export const probeOf = (
  gpu: Gpu,
  { views, knn }: AnyConfig,
  train: Dataset,
  test: Dataset,
): KnnProbe | null =>
  isLabelled(train) && isLabelled(test)
    ? new KnnProbe(gpu, { train, test }, recipeOf(views, 0), knn)
    : null

/** One training, into a fresh run folder or a resumed one, to its end or to Ctrl-C. */
export class Training {
  readonly #prepared: Prepared
  readonly #run: RunFolder
  readonly #progress: Progress
  /** Set by Ctrl-C: the step under way is finished and saved, and training ends. */
  readonly #stop: { requested: boolean }
  readonly #losses: Losses
  readonly #measure: Measure
  #digests: Promise<Digests> | null = null // of what it is trained on
  #history: readonly Change[] = []
  #saved = -1 // the step of the last checkpoint
  #path = '' // and its file
  #reason: string | null = null // why a step was not replayed, as last told
  #traced = 0 // steps that are traced to be replayed later, and need no reason

  constructor(
    prepared: Prepared,
    run: RunFolder,
    progress: Progress,
    stop: { requested: boolean },
  ) {
    this.#prepared = prepared
    this.#run = run
    this.#progress = progress
    this.#stop = stop
    this.#measure = new Measure(prepared, run, progress)
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
    if (this.#saved < 0) {
      await this.#measure.begin()
      await this.#save()
    } else if (await this.#measure.missed()) await this.#save(true)
    while (state.step < this.total && !this.#stop.requested) await this.#epoch()
    await this.#losses.drain()
    if (this.#saved < state.step) await this.#save()
    return outcomeOf(this.#run, { step: state.step, total: this.total, loss: this.#losses.last })
  }

  /** Puts the training back to the newest checkpoint; what was measured after it is measured
   *  again. */
  async #resume(resumed: boolean) {
    const { config, gpu, images, stepsPerEpoch, trainer } = this.#prepared
    const { dir } = this.#run
    const { checkpoint, damaged } = await this.#run.latest()
    for (const line of damaged) this.#progress.note(line)
    if (checkpoint) {
      const { step } = checkpoint
      const bank = config.method === 'memory-bank'
      const digests = () => this.#known()
      checkSettings(dir, checkpoint, config)
      await explained(changesSince(checkpoint.metadata, config), async () => {
        const { epochs } = config
        await checkResumable(checkpoint, { dir, images, digests, bank, epochs, stepsPerEpoch })
        loadTrainer(gpu, trainer, checkpoint)
      })
      this.#saved = step
      this.#path = checkpoint.path
      this.#progress.note(goingOnFrom(dir, config, { step, total: this.total }))
    } else if (resumed)
      this.#progress.note(`${dir}: there is no checkpoint yet, beginning at step 0`)
    await this.#run.truncateMetrics(this.#saved)
    const isFinished = this.#saved >= this.total
    this.#history = await keepChanges(this.#run, this.#progress, { config, checkpoint, isFinished })
    if (checkpoint) await this.#measure.resume(checkpoint, (await this.#known()).measured)
  }

  #known(): Promise<Digests> {
    const { config, data, images } = this.#prepared
    return (this.#digests ??= digestsOf(images, data, config))
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
    const saved = isDue || this.#measure.isDue(epoch + 1) ? await this.#state() : null
    const best = await this.#measure.at(epoch + 1).catch(async (error: unknown) => {
      await this.#save(false, saved) // the epoch is not lost with its measurement
      throw error
    })
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

  /** What a checkpoint holds. Throws Error when there is a value in it that is not finite. */
  async #state(): Promise<State> {
    const { config, gpu, trainer } = this.#prepared
    await this.#losses.drain() // every metric up to the checkpoint is on disk before it
    const { tensors, metadata } = await saveTrainer(gpu, trainer)
    const bad = notFinite(tensors)
    if (bad.length > 0) throw this.#diverged(badWeights(bad, trainer.state.step))
    const known = { ...dataMetadata(await this.#known()), ...settingsMetadata(config) }
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
    const { lr } = schedule
    return diverged(what, {
      method,
      dir,
      lr,
      history: this.#history,
      step: this.#saved,
      path: this.#path,
    })
  }
}

/** What is said of a run that is resumed; of one that is at its end, how it goes on. */
const goingOnFrom = (
  dir: string,
  { method, epochs }: AnyConfig,
  at: { step: number; total: number },
) =>
  at.step < at.total
    ? `${dir}: going on from step ${at.step} of ${at.total}`
    : `${dir}: the run is finished already, at step ${at.step} of ${at.total}; a larger --epochs lengthens it, as in: ${resumeCommand(method, dir, '--epochs', String(2 * epochs))}`
