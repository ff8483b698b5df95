// The training loop: feeds batches to a method, writes metrics, saves, resumes, and measures kNN
// accuracy. Its files depend on the configuration alone, not on the clock.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import type { ImageBatch } from '../methods/image-batch.ts'
import type { TrainConfig } from './run-schema.ts'
import { type Digests, dataMetadata, digestsOf } from './fingerprint.ts'
import { notFinite } from '../engine/not-finite.ts'
import { diverged } from './finite.ts'
import { explained, keepChanges } from './going-on.ts'
import { type Change, changesSince, settingsMetadata } from './history.ts'
import { Losses, badWeights } from './losses.ts'
import { Measure } from './measure.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import type { Prepared } from './prepare.ts'
import type { Progress } from './progress.ts'
import { checkResumable, checkSettings, checkTrained } from './resumable.ts'
import { sha256 } from './sha256.ts'
import type { TrainingStorage } from './storage.ts'
import { type State, loadTrainer, saveTrainer } from './trainer-state.ts'

/** A request to finish the current step, save, and end. */
interface Stop {
  requested: boolean
  /** Ends measurements too, when aborted; they are made up for when the training goes on. */
  readonly signal?: AbortSignal | undefined
}

/** One training, from step 0 or a checkpoint, to its end or a stop. */
export class Training {
  readonly #prepared: Prepared
  readonly #storage: TrainingStorage
  readonly #progress: Progress
  readonly #stop: Stop
  readonly #losses: Losses
  readonly #measure: Measure
  #digests: Promise<Digests> | null = null // of the data
  #history: readonly Change[] = []
  #saved = -1 // the step of the last checkpoint
  #path = '' // of the last checkpoint
  #checked: ReturnType<TrainingStorage['latest']> | null = null // until it is resumed
  #reason: string | null = null // printed last, why a step was not replayed
  #isWarm = false // whether the step's kernels are compiled
  #traced = 0 // first steps; two are traced before any replay, and need no reason

  constructor(prepared: Prepared, storage: TrainingStorage, progress: Progress, stop: Stop) {
    this.#prepared = prepared
    this.#storage = storage
    this.#progress = progress
    this.#stop = stop
    this.#measure = new Measure(prepared, storage, progress, stop.signal)
    this.#losses = new Losses(prepared, storage, progress, (what) => this.#diverged(what))
  }

  /** Number of steps of the whole training. */
  get total(): number {
    return this.#prepared.config.epochs * this.#prepared.stepsPerEpoch
  }

  /** Step of the last checkpoint, -1 before the first. */
  get saved(): number {
    return this.#saved
  }

  /** Checks that the training can go on from its newest checkpoint, if any. Throws Error in
   *  words. */
  async check() {
    await (this.#checked ??= this.#newest())
  }

  /** Trains from the newest checkpoint, if any, to the end or a requested stop. Throws Error in
   *  words. The last checkpoint stays intact. */
  async finish({ resumed = false } = {}): Promise<Outcome> {
    const { state } = this.#prepared.trainer
    await this.#resume(resumed)
    await this.#begin().catch((error: unknown) => this.#unlessStopped(error))
    while (state.step < this.total && !this.#stop.requested) await this.#epoch()
    await this.#losses.drain()
    if (this.#saved < state.step && state.step > 0) await this.#save()
    return outcomeOf(this.#storage, {
      step: state.step,
      total: this.total,
      loss: this.#losses.last,
    })
  }

  /** Measures what is due before the next step, and saves. */
  async #begin() {
    if (this.#saved < 0) {
      await this.#measure.begin()
      await this.#save()
    } else if (await this.#measure.missed()) await this.#save(true)
  }

  /** Throws an error, unless it is that of a measurement which the stop ended. */
  #unlessStopped(error: unknown) {
    if (!(this.#stop.signal?.aborted === true && error === this.#stop.signal.reason)) throw error
  }

  /** Reads the newest checkpoint, and checks it. */
  async #newest() {
    const { config, images, stepsPerEpoch } = this.#prepared
    const storage = this.#storage
    const { checkpoint, damaged } = await storage.latest()
    for (const line of damaged) this.#progress.note(line)
    if (checkpoint) {
      const digests = () => this.#known()
      checkTrained(storage, checkpoint)
      checkSettings(storage, checkpoint, config)
      await explained(changesSince(checkpoint.metadata, config), () =>
        checkResumable(checkpoint, { storage, config, images, digests, stepsPerEpoch }),
      )
    }
    return { checkpoint, damaged }
  }

  /** Loads the newest checkpoint, and drops later metrics. */
  async #resume(resumed: boolean) {
    const { config, gpu, trainer } = this.#prepared
    const storage = this.#storage
    const { name } = storage
    const { checkpoint } = await (this.#checked ?? this.#newest())
    this.#checked = null
    if (checkpoint) {
      const { step } = checkpoint
      await explained(changesSince(checkpoint.metadata, config), async () =>
        loadTrainer(gpu, trainer, checkpoint),
      )
      this.#saved = step
      this.#path = checkpoint.path
      this.#progress.note(goingOnFrom(storage, config, { step, total: this.total }))
    } else if (resumed)
      this.#progress.note(`${name}: there is no checkpoint yet, beginning at step 0`)
    await storage.keepMetrics((metric) => metric.step <= this.#saved)
    const isFinished = this.#saved >= this.total
    this.#history = await keepChanges(storage, this.#progress, { config, checkpoint, isFinished })
    if (checkpoint) await this.#measure.resume(checkpoint, (await this.#known()).measured)
  }

  /** Computes the digests of the data once. */
  #known(): Promise<Digests> {
    const { config, data, images: train } = this.#prepared
    const { sha256: own = sha256 } = this.#storage
    return (this.#digests ??= digestsOf({ train, test: data.test }, config, own))
  }

  async #epoch() {
    const { config, feed, stepsPerEpoch, trainer } = this.#prepared
    const { state } = trainer
    const { batch, seed } = config
    const [epoch, start] = [Math.floor(state.step / stepsPerEpoch), state.step % stepsPerEpoch]
    for await (const { images, indices } of feed({ batch, seed, epoch, start })) {
      await this.#warmed(images, indices)
      const loss = trainer.step(images, indices)
      this.#explain(trainer.captured.reason)
      await this.#losses.add(state.step, loss)
      if (state.step % stepsPerEpoch === 0) break // the epoch's end comes before its checkpoint
      if (this.#stop.requested) return
      if (this.#isDue()) await this.#save()
    }
    await this.#losses.drain()
    const isDue = config.checkpointEvery === 0 || this.#isDue()
    // throws for weights that are not finite before they are measured
    const saved = isDue || this.#measure.isDue(epoch + 1) ? await this.#state() : null
    const best = await this.#measure.at(epoch + 1).catch(async (error: unknown) => {
      await this.#save(false, saved) // keep the epoch if its measurement fails
      this.#unlessStopped(error)
      return false
    })
    if (best || (isDue && this.#saved < state.step)) await this.#save(best, saved)
  }

  /** Compiles a step's kernels in the background before the first, so that a page does not
   *  freeze. */
  async #warmed(images: ImageBatch, indices: IndexList) {
    if (this.#isWarm) return
    this.#progress.note('compiling kernels for the first step, which takes a while the first time')
    await this.#prepared.trainer.warm(images, indices)
    this.#isWarm = true
  }

  /** Prints once why steps are not replayed. They are slower, with the same bits. */
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

  /** Returns the tensors and metadata of a checkpoint. Throws Error for a value that is not
   *  finite. */
  async #state(): Promise<State> {
    const { config, gpu, trainer } = this.#prepared
    await this.#losses.drain() // writes all metrics before the checkpoint
    const { tensors, metadata } = await saveTrainer(gpu, trainer)
    const bad = notFinite(tensors)
    if (bad.length > 0) throw this.#diverged(badWeights(bad, trainer.state.step))
    const known = { ...dataMetadata(await this.#known()), ...settingsMetadata(config) }
    return { tensors, metadata: { ...metadata, ...known } }
  }

  async #save(best = false, saved: State | null = null) {
    const { step } = this.#prepared.trainer.state
    const { tensors, metadata } = saved ?? (await this.#state())
    this.#path = await this.#storage.saveCheckpoint(step, tensors, metadata, { best })
    this.#saved = step
  }

  /** Makes the Error of a diverged training. */
  #diverged(what: string): Error {
    const { lr } = this.#prepared.config.schedule
    const from = { lr, history: this.#history, step: this.#saved, path: this.#path }
    return diverged(what, this.#storage, this.#saved < 0 ? null : from)
  }
}

/** Returns the line about a resumed training, with a remedy if it is finished already. */
const goingOnFrom = (
  storage: TrainingStorage,
  { epochs }: TrainConfig,
  { step, total }: { readonly step: number; readonly total: number },
) =>
  step < total
    ? `${storage.name}: going on from step ${step} of ${total}`
    : `${storage.name}: the run is finished already, at step ${step} of ${total}; a larger ` +
      `${storage.nameOf('epochs')} lengthens it, as in: ` +
      storage.goOn({ epochs: 2 * epochs })
