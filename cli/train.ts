// kindred train simclr: the loop around the method. It feeds batches, writes metrics, saves and resumes, and measures
// kNN accuracy as it goes. What it writes to metrics.jsonl depends on the configuration alone, never on the clock.

import { batches, steps } from '../data/loader.ts'
import { type Split, subset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Trainer, buildTrainer, loadTrainer, saveTrainer } from './build.ts'
import type { TrainConfig } from './config.ts'
import { KnnProbe } from './knn.ts'
import type { Progress } from './progress.ts'
import type { Metric, RunFolder } from './run-folder.ts'

export interface TrainingOptions {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly data: Split
  readonly run: RunFolder
  readonly progress: Progress
  /** Set by Ctrl-C: the step under way is finished, saved, and training ends. */
  readonly stop: { requested: boolean }
}

/** How a training ended. Accuracies are kNN top-1 in percent, null for an unlabelled set. */
export interface Outcome {
  readonly finished: boolean
  readonly step: number
  readonly steps: number
  readonly loss: number | null
  readonly pixels: number | null
  readonly untrained: number | null
  readonly trained: number | null
}

const LATE = 3 // steps whose loss is still on its way: the GPU is never waited for within an epoch

/** One training, from a fresh run folder or a resumed one, to its end or to Ctrl-C. */
export class Training {
  readonly #options: TrainingOptions
  readonly #train: Split['train']
  readonly #trainer: Trainer
  readonly #stepsPerEpoch: number
  readonly #probe: KnnProbe | null
  readonly #pending: { step: number; loss: Promise<Float32Array> }[] = []
  #best = -Infinity
  #saved = -1
  #loss: number | null = null

  constructor(options: TrainingOptions) {
    const { gpu, config, data } = options
    this.#options = options
    this.#train = config.subset === null ? data.train : subset(data.train, config.subset, config.seed)
    this.#stepsPerEpoch = steps(this.#train, { batch: config.batch })
    this.#trainer = buildTrainer(gpu, config, this.#stepsPerEpoch)
    const labelled = this.#train.labels !== null && data.test.size > 0
    this.#probe = labelled
      ? new KnnProbe(gpu, { train: this.#train, test: data.test }, config.views, config.knn)
      : null
  }

  /** Puts the training back to the run's newest checkpoint. */
  async resume() {
    const { gpu, run, progress } = this.#options
    const { checkpoint, damaged } = await run.latest()
    for (const line of damaged) progress.note(line)
    if (checkpoint) loadTrainer(gpu, this.#trainer, checkpoint)
    this.#saved = checkpoint ? checkpoint.step : -1
    await run.truncateMetrics(checkpoint ? checkpoint.step : -1)
    for (const { knn } of await run.metrics()) this.#best = Math.max(this.#best, knn ?? -Infinity)
    progress.note(
      checkpoint
        ? `resumed ${run.dir} at step ${checkpoint.step}`
        : `${run.dir} has no checkpoint yet; starting over`,
    )
  }

  /** Trains to the end, or until a stop is requested. Throws what went wrong; the last checkpoint is then intact. */
  async finish(): Promise<Outcome> {
    const { config, stop, progress } = this.#options
    const total = config.epochs * this.#stepsPerEpoch
    if (this.#saved < 0) await this.#measureBaselines()
    while (this.#trainer.state.step < total && !stop.requested) await this.#epoch()
    await this.#drain(0)
    if (this.#saved < this.#trainer.state.step) await this.#save()
    progress.stop()
    return this.#outcome(total)
  }

  async #epoch() {
    const { config, stop, gpu } = this.#options
    const { state } = this.#trainer
    const epoch = Math.floor(state.step / this.#stepsPerEpoch)
    const { batch, seed } = config
    const start = state.step % this.#stepsPerEpoch
    const { height, width, channels } = this.#train.image
    for await (const { images } of batches(this.#train, { batch, seed, epoch, start })) {
      const loss = this.#trainer.step({ pixels: images, shape: [batch, height, width, channels] })
      this.#pending.push({ step: state.step, loss: gpu.read(loss) })
      await this.#drain(LATE)
      if (state.step % this.#stepsPerEpoch === 0) break // what belongs to the epoch's end comes before its checkpoint
      if (stop.requested) return
      if (this.#isDue()) await this.#save()
    }
    await this.#drain(0)
    const knn = await this.#measure(epoch + 1)
    if (config.checkpointEvery === 0 || knn.best || this.#isDue()) await this.#save(knn.best)
  }

  #isDue(): boolean {
    const { checkpointEvery } = this.#options.config
    return checkpointEvery > 0 && this.#trainer.state.step % checkpointEvery === 0
  }

  /** Waits for losses until at most `most` are still on their way. */
  async #drain(most: number) {
    while (this.#pending.length > most) {
      const first = this.#pending.shift()
      if (!first) return
      const [loss = NaN] = await first.loss
      this.#log(first.step, loss)
    }
  }

  #log(step: number, loss: number) {
    const { run, progress, config } = this.#options
    if (!Number.isFinite(loss))
      throw new Error(
        `the loss became ${loss} at step ${step}; the last checkpoint (step ${Math.max(0, this.#saved)}) is intact; lower --lr or raise --temperature`,
      )
    this.#loss = loss
    const lr = this.#trainer.schedule(step - 1)
    run.append({ step, epoch: step / this.#stepsPerEpoch, loss, lr })
    progress.update(step, { loss, images: config.batch })
  }

  async #measureBaselines() {
    if (!this.#probe) {
      this.#options.progress.note('the set has no labels or no test images: kNN accuracy is not measured')
      return
    }
    const pixels = await this.#probe.ofPixels()
    const untrained = await this.#probe.ofEncoder(this.#trainer.encoder)
    this.#tell({ step: 0, epoch: 0, pixels, untrained })
    await this.#save()
  }

  async #measure(epoch: number): Promise<{ best: boolean }> {
    const { every } = this.#options.config.knn
    const last = epoch === this.#options.config.epochs
    if (!this.#probe || (!last && (every === 0 || epoch % every !== 0))) return { best: false }
    const knn = await this.#probe.ofEncoder(this.#trainer.encoder)
    this.#tell({ step: this.#trainer.state.step, epoch, knn })
    const best = knn > this.#best
    this.#best = Math.max(knn, this.#best)
    return { best }
  }

  #tell(metric: Metric) {
    this.#options.run.append(metric)
    const percent = (value: number | undefined) => `${(value ?? NaN).toFixed(1)}%`
    this.#options.progress.note(
      metric.knn === undefined
        ? `kNN top-1 before training: raw pixels ${percent(metric.pixels)}, untrained encoder ${percent(metric.untrained)}`
        : `epoch ${metric.epoch}: kNN top-1 ${percent(metric.knn)}`,
      metric,
    )
  }

  async #save(best = false) {
    const { gpu, run } = this.#options
    await this.#drain(0) // every metric up to the checkpoint is on disk before it
    const { tensors, metadata } = await saveTrainer(gpu, this.#trainer)
    this.#saved = this.#trainer.state.step
    await run.saveCheckpoint(this.#saved, tensors, metadata, { best })
  }

  async #outcome(total: number): Promise<Outcome> {
    const metrics = await this.#options.run.metrics()
    const last = (key: 'pixels' | 'untrained' | 'knn') =>
      metrics.findLast((m) => m[key] !== undefined)?.[key] ?? null
    const { step } = this.#trainer.state
    return {
      finished: step >= total,
      step,
      steps: total,
      loss: this.#loss,
      pixels: last('pixels'),
      untrained: last('untrained'),
      trained: last('knn'),
    }
  }
}
