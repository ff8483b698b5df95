// A training that a page keeps: config.json, metrics.jsonl, the newest two checkpoints and the
// best, and images if given, the same files as those of a run folder.

import type { Split } from '../data/dataset.ts'
import { IMAGES } from '../data/images-file.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { decodeCheckpoint, encodeCheckpoint } from '../training/checkpoint-bytes.ts'
import { fileOfStep, stepsIn } from '../training/checkpoint-file.ts'
import { configBytes } from '../training/config-file.ts'
import { type Metric, metricLines } from '../training/metrics.ts'
import { checkReplacement } from '../training/resumable.ts'
import { decodeImages, encodeImages } from '../training/run-images.ts'
import type { Checkpoint, Config, Other, TrainingStorage } from '../training/storage.ts'
import type { RunFiles } from './place.ts'
import { writeFailure } from './write-failure.ts'

export const [CONFIG, METRICS, BEST_STEP] = ['config.json', 'metrics.jsonl', 'best.json'] as const
const KEEP = 2 // newest checkpoints

/** What a stored run is opened with. */
export interface RunParts {
  readonly files: RunFiles
  readonly config: Config
  readonly metrics: readonly Metric[]
  /** Releases its lock. */
  readonly release: () => void
}

/** A training that this page keeps; made by `storedRun` and `storeRun`. It is locked until
 *  `close`. */
export class StoredRun implements TrainingStorage {
  /** Name of the run in the page's storage. */
  readonly run: string
  readonly elsewhere = 'another name'
  readonly #files: RunFiles
  #config: Config
  #metrics: Metric[]
  #isWritten = true // all metrics are
  #release: (() => void) | null
  #damaged: readonly number[] = [] // steps

  constructor(run: string, { files, config, metrics, release }: RunParts) {
    this.run = run
    this.#files = files
    this.#config = config
    this.#metrics = [...metrics]
    this.#release = release
  }

  /** Name in messages. */
  get name(): string {
    return `the run '${this.run}'`
  }

  get config(): Config {
    return this.#config
  }

  /** Replaces the configuration. Throws Error in words for a wrong field and for a setting that a
   *  run keeps, and with the old one intact if it cannot be stored. */
  async writeConfig(config: Config) {
    this.#checkOpen()
    await checkReplacement(this, config)
    await this.#write(CONFIG, configBytes(config))
    this.#config = config
  }

  /** Appends a metric. It is stored with the next checkpoint: without that, a resumed training
   *  makes its step again. */
  append(metric: Metric) {
    this.#metrics.push(metric)
    this.#isWritten = false
  }

  metrics(): Promise<readonly Metric[]> {
    return Promise.resolve([...this.#metrics])
  }

  async keepMetrics(isKept: (metric: Metric) => boolean) {
    const kept = this.#metrics.filter(isKept)
    if (kept.length < this.#metrics.length) this.#isWritten = false
    this.#metrics = kept
    await this.#writeMetrics()
  }

  /** Stores the metrics so far and a checkpoint, then removes the oldest. Resolves to its path in
   *  messages. Throws Error in words, with the earlier checkpoints intact. */
  async saveCheckpoint(
    step: number,
    tensors: ReadonlyMap<string, SavedTensor>,
    metadata: Readonly<Record<string, string>>,
    { best = false }: { readonly best?: boolean } = {},
  ): Promise<string> {
    await this.#writeMetrics()
    await this.#write(fileOfStep(step), await encodeCheckpoint({ step, tensors, metadata }))
    if (best) await this.#write(BEST_STEP, new TextEncoder().encode(JSON.stringify({ step })))
    this.#damaged = this.#damaged.filter((other) => other !== step)
    await this.#removeOld()
    return this.#path(step)
  }

  /** Loads the newest checkpoint that is whole, null if there is none, and returns a line about
   *  each damaged newer one. Throws Error if all are damaged. */
  async latest(): Promise<{
    readonly checkpoint: Checkpoint | null
    readonly damaged: readonly string[]
  }> {
    const reasons = new Map<number, string>()
    let checkpoint: Checkpoint | null = null
    for (const step of await this.#steps()) {
      try {
        checkpoint = await this.#load(step)
        break
      } catch (error) {
        reasons.set(step, reasonOf(error))
      }
    }
    const damaged = [...reasons.values()]
    this.#damaged = [...reasons.keys()]
    if (!checkpoint && damaged.length > 0)
      throw new Error(
        `${this.name}: no checkpoint can be read; start again under ${this.elsewhere}\n` +
          damaged.join('\n'),
      )
    return { checkpoint, damaged }
  }

  /** Loads the checkpoint with the best kNN accuracy, null if there is none. Throws Error if it
   *  cannot be read. */
  async bestCheckpoint(): Promise<Checkpoint | null> {
    const step = await this.#bestStep()
    return step !== null && (await this.#steps()).includes(step) ? this.#load(step) : null
  }

  /** Resolves to the images that are kept with the training, as `train` takes them, or null. Throws
   *  Error in words if they are damaged. */
  async images(): Promise<Split | null> {
    const bytes = await this.#files.read(IMAGES)
    return bytes && decodeImages(bytes, `${this.name}: ${IMAGES}`)
  }

  /** Keeps the images of a training with it. Throws DataError if they take more than 1 GiB, and
   *  Error in words. */
  async keepImages(images: Split) {
    await this.#write(IMAGES, await encodeImages(images))
  }

  /** Stores the metrics, and lets another tab or worker train the run. Later writes throw. */
  async close() {
    if (!this.#release) return
    try {
      await this.#writeMetrics()
    } finally {
      this.#release()
      this.#release = null
    }
  }

  /** Returns the code that resumes the training, with other settings if given. */
  goOn(other: Other = {}): string {
    const changes = Object.entries(other).map(([name, value]) => `${name} ${value}`)
    const more = changes.length > 0 ? `, after writeConfig with ${changes.join(', ')}` : ''
    return `train(gpu, data, await storedRun(${JSON.stringify(this.run)}))${more}`
  }

  nameOf(setting: string): string {
    return setting
  }

  /** Removes checkpoints but the newest two and the best, and those that are damaged. */
  async #removeOld() {
    const best = await this.#bestStep()
    const whole = (await this.#steps()).filter((step) => !this.#damaged.includes(step))
    const kept = [...whole.slice(0, KEEP), best]
    for (const step of await this.#steps())
      if (!kept.includes(step)) await this.#files.remove(fileOfStep(step))
    this.#damaged = []
  }

  async #steps(): Promise<readonly number[]> {
    return stepsIn(await this.#files.names())
  }

  async #bestStep(): Promise<number | null> {
    const bytes = await this.#files.read(BEST_STEP)
    const [, step] = /^\{"step":(\d+)\}$/.exec(bytes ? new TextDecoder().decode(bytes) : '') ?? []
    return step === undefined ? null : Number(step)
  }

  async #load(step: number): Promise<Checkpoint> {
    const bytes = await this.#files.read(fileOfStep(step))
    return decodeCheckpoint(bytes ?? new Uint8Array(0), this.#path(step))
  }

  #path(step: number): string {
    return `${this.name}: ${fileOfStep(step)}`
  }

  async #writeMetrics() {
    if (this.#isWritten) return
    await this.#write(METRICS, new TextEncoder().encode(metricLines(this.#metrics)))
    this.#isWritten = true
  }

  #checkOpen() {
    if (this.#release) return
    throw new Error(`${this.name} is closed; storedRun(${JSON.stringify(this.run)}) opens it`)
  }

  async #write(name: string, bytes: Uint8Array<ArrayBuffer>) {
    this.#checkOpen()
    await this.#files.write(name, bytes).catch(async (cause: unknown) => {
      throw await writeFailure(`${this.name}: ${name}`, cause, bytes.length)
    })
  }
}
