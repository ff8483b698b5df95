// A run as a folder: config.json, metrics.jsonl, checkpoints/ and report.html, and images if given.
// The folder holds the last good state even if the process is killed.

import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { type Split, checkSplit } from '../data/dataset.ts'
import { IMAGES } from '../data/images-file.ts'
import { checkedFile, imagesIn } from '../data/images-in-file.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { encodeStamped, load, readBytes, writeAtomic, writeError } from '../engine/node-files.ts'
import {
  type CheckpointOptions,
  bestCheckpoint,
  newestCheckpoint,
  saveCheckpoint,
} from './checkpoints.ts'
import { type Metric, metricLines, metricsIn } from '../training/metrics.ts'
import { configBytes } from '../training/config-file.ts'
import { checkReplacement } from '../training/resumable.ts'
import type { Checkpoint, Config, Other, Sha256, TrainingStorage } from '../training/storage.ts'
import { utf8, exists } from './run-config.ts'
import type { Words } from './words.ts'

/** Begins a digest, by Node's own SHA-256. */
export const nodeSha256: Sha256 = () => {
  const hash = createHash('sha256')
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest('hex') }
}

/** The lock of a run folder, and the words of its messages. */
interface Held {
  /** Releases the lock; null if this process does not hold it. */
  readonly unlock: (() => Promise<void>) | null
  readonly words: Words
}

/** A run folder; made by `createRun`, `openRun` or `resumeRun`. */
export class RunFolder implements TrainingStorage {
  readonly dir: string
  /** Called with each metric that was appended. */
  onAppend: ((metric: Metric) => void) | null = null
  #config: Config
  #unlock: (() => Promise<void>) | null // null if this process does not hold the lock
  readonly #words: Words
  #log: number | null = null // file descriptor of metrics.jsonl

  constructor(dir: string, config: Config, { unlock, words }: Held) {
    this.dir = dir
    this.#config = config
    this.#unlock = unlock
    this.#words = words
  }

  /** Content of config.json. */
  get config(): Config {
    return this.#config
  }

  /** Replaces config.json. Throws Error in words for a wrong field and for a setting that a run
   *  keeps, and with the old file intact if it cannot be written. */
  async writeConfig(config: Config) {
    this.#checkHeld()
    await checkReplacement(this, config)
    await writeAtomic(this.path('config.json'), configBytes(config), { retry: this.retry })
    this.#config = config
  }

  /** Returns the path of a file of the run. */
  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  /** Appends one line to metrics.jsonl. The line survives a killed process. Throws Error in
   *  words. */
  append(metric: Metric) {
    this.#checkHeld()
    try {
      this.#log ??= openSync(this.path('metrics.jsonl'), 'a')
      writeSync(this.#log, metricLines([metric]))
    } catch (cause) {
      throw writeError(this.path('metrics.jsonl'), cause, { retry: this.retry })
    }
    this.onAppend?.(metric)
  }

  /** Reads the lines of metrics.jsonl in order. Leaves out a last line that a crash cut short.
   *  Throws Error for any other line that is no metric. */
  async metrics(): Promise<Metric[]> {
    const path = this.path('metrics.jsonl')
    if (!(await exists(path))) return []
    return metricsIn(new TextDecoder().decode(await readBytes(path)), path)
  }

  /** Drops the metrics for which `isKept` returns false. */
  async keepMetrics(isKept: (metric: Metric) => boolean) {
    this.#checkHeld()
    const kept = (await this.metrics()).filter(isKept)
    this.#closeLog()
    await writeAtomic(this.path('metrics.jsonl'), utf8(metricLines(kept)), { retry: this.retry })
  }

  /** Writes the metrics so far and checkpoints/step-<step>.safetensors to the disk. Resolves to the
   *  path of the checkpoint. Keeps the last `keep` checkpoints and best.safetensors. Throws Error
   *  in words, with the earlier checkpoints intact. */
  async saveCheckpoint(
    step: number,
    tensors: ReadonlyMap<string, SavedTensor>,
    metadata: Readonly<Record<string, string>>,
    options: CheckpointOptions = {},
  ): Promise<string> {
    this.#checkHeld()
    if (this.#log !== null) fsyncSync(this.#log)
    const write = { retry: this.retry, ...options }
    return saveCheckpoint(this.path('checkpoints'), { step, tensors, metadata }, write)
  }

  /** Loads the newest readable checkpoint, null if there is none, and returns a line about each
   *  damaged newer one. Renames those to `*.damaged` if this process holds the lock. Throws Error
   *  if all are damaged. */
  async latest(): Promise<{
    readonly checkpoint: Checkpoint | null
    readonly damaged: readonly string[]
  }> {
    const { checkpoint, damaged } = await newestCheckpoint(this.path('checkpoints'), this.#words)
    if (this.#unlock) for (const { path } of damaged) await rename(path, `${path}.damaged`)
    return { checkpoint, damaged: damaged.map(({ reason }) => reason) }
  }

  /** Loads the checkpoint with the best kNN accuracy, null if there is none. Throws Error if it
   *  cannot be read. */
  bestCheckpoint(): Promise<Checkpoint | null> {
    return bestCheckpoint(this.path('checkpoints'))
  }

  /** Resolves to the images that are kept in the folder, as `train` takes them, or null. Throws
   *  Error in words if they are damaged. */
  async images(): Promise<Split | null> {
    const path = this.path(IMAGES)
    return (await exists(path)) ? imagesIn(await load(path), path) : null
  }

  /** Keeps the images of a training in its folder. Throws DataError if they take more than 1 GiB,
   *  and Error in words. */
  async keepImages(images: Split) {
    this.#checkHeld()
    checkSplit('keepImages', 'images', images)
    const bytes = encodeStamped(await checkedFile(images, 'keepImages'))
    await writeAtomic(this.path(IMAGES), bytes, { retry: this.retry })
  }

  /** Releases the lock. Later writes throw. */
  async close() {
    this.#closeLog()
    await this.#unlock?.()
    this.#unlock = null
  }

  #closeLog() {
    if (this.#log === null) return
    fsyncSync(this.#log)
    closeSync(this.#log)
    this.#log = null
  }

  /** Name of the run in messages: its folder. */
  get name(): string {
    return this.dir
  }

  /** Returns what the user types to resume the run, with other settings if given. */
  goOn(other?: Other): string {
    return this.#words.goOn(String(this.#config['method']), this.dir, other)
  }

  /** Returns a setting's name for the user. */
  nameOf(setting: string): string {
    return this.#words.nameOf(setting)
  }

  /** Place of a new run in messages. */
  get elsewhere(): string {
    return this.#words.elsewhere
  }

  /** Begins a digest. */
  readonly sha256 = nodeSha256

  /** Remedy after a failed write. */
  get retry(): string {
    return typeof this.#config['method'] === 'string' ? `run: ${this.goOn()}` : 'try again'
  }

  #checkHeld() {
    if (!this.#unlock) throw new Error(`${this.dir} is not open for writing; resumeRun opens it`)
  }
}
