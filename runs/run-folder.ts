// A run as a folder: config.json, metrics.jsonl, checkpoints/ and report.html.
// Whatever happens to the process, the folder holds its last good state.

import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { SavedTensor } from '../engine/safetensors.ts'
import { readBytes, writeAtomic, writeError } from '../engine/node-files.ts'
import {
  type CheckpointOptions,
  bestCheckpoint,
  newestCheckpoint,
  saveCheckpoint,
} from './checkpoints.ts'
import { type Metric, metricOf } from '../training/metrics.ts'
import type { Checkpoint, Config, Other, Sha256, TrainingStorage } from '../training/storage.ts'
import { utf8, configBytes, exists } from './run-config.ts'
import type { Words } from './words.ts'

/** Begins a digest, by Node's own SHA-256. */
export const nodeSha256: Sha256 = () => {
  const hash = createHash('sha256')
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest('hex') }
}

/** How a run folder is held. */
interface Held {
  /** Gives the lock back; null when this process does not hold the run. */
  readonly unlock: (() => Promise<void>) | null
  readonly words: Words
}

/** A run folder; made by `createRun`, `openRun` or `resumeRun`. */
export class RunFolder implements TrainingStorage {
  readonly dir: string
  #config: Config
  #unlock: (() => Promise<void>) | null // null when this process does not hold the run
  readonly #words: Words
  #log: number | null = null // file descriptor of metrics.jsonl

  constructor(dir: string, config: Config, { unlock, words }: Held) {
    this.dir = dir
    this.#config = config
    this.#unlock = unlock
    this.#words = words
  }

  /** What config.json holds. */
  get config(): Config {
    return this.#config
  }

  /** Resolves when config.json holds another configuration. Throws Error in words, with the old one
   *  untouched. */
  async writeConfig(config: Config) {
    this.#checkHeld()
    await writeAtomic(this.path('config.json'), configBytes(config), { retry: this.retry })
    this.#config = config
  }

  /** Path of a file of the run. */
  path(...names: readonly string[]): string {
    return join(this.dir, ...names)
  }

  /** Appends one line to metrics.jsonl, where it survives the process being killed. Throws Error in
   *  words. */
  append(metric: Metric) {
    this.#checkHeld()
    try {
      this.#log ??= openSync(this.path('metrics.jsonl'), 'a')
      writeSync(this.#log, `${JSON.stringify(metric)}\n`)
    } catch (cause) {
      throw writeError(this.path('metrics.jsonl'), cause, { retry: this.retry })
    }
  }

  /** The lines of metrics.jsonl, in order; a last line cut short by a crash is left out. Throws
   *  Error on any other line that is not a metric. */
  async metrics(): Promise<Metric[]> {
    const path = this.path('metrics.jsonl')
    if (!(await exists(path))) return []
    const lines = new TextDecoder().decode(await readBytes(path)).split('\n')
    lines.pop() // '', or what was cut short
    return lines.map((line, i) => metricOf(line, path, i + 1))
  }

  /** Resolves when metrics.jsonl holds those lines alone that are to be kept. */
  async keepMetrics(isKept: (metric: Metric) => boolean) {
    this.#checkHeld()
    const kept = (await this.metrics()).filter(isKept)
    this.#closeLog()
    const lines = kept.map((metric) => `${JSON.stringify(metric)}\n`).join('')
    await writeAtomic(this.path('metrics.jsonl'), utf8(lines), { retry: this.retry })
  }

  /** Resolves to the path of the checkpoint once the metrics so far and
   *  checkpoints/step-<step>.safetensors are on disk. The last `keep` checkpoints stay, and
   *  best.safetensors. Throws Error in words, with the checkpoints before it untouched. */
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

  /** The newest checkpoint that can be read, null when there is none yet, and one line about each
   *  newer one that is damaged; when this process holds the run those are renamed to `*.damaged`.
   *  Throws Error when all are damaged. */
  async latest(): Promise<{
    readonly checkpoint: Checkpoint | null
    readonly damaged: readonly string[]
  }> {
    const { checkpoint, damaged } = await newestCheckpoint(this.path('checkpoints'), this.#words)
    if (this.#unlock) for (const { path } of damaged) await rename(path, `${path}.damaged`)
    return { checkpoint, damaged: damaged.map(({ reason }) => reason) }
  }

  /** The checkpoint with the best kNN accuracy. Throws Error when there is none or it cannot be
   *  read. */
  best(): Promise<Checkpoint> {
    return bestCheckpoint(this.path('checkpoints'))
  }

  /** Gives the run back; nothing can be written to it any more. */
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

  /** The folder, as messages name the run. */
  get name(): string {
    return this.dir
  }

  /** What the user does to go on with the run, with other settings if any are given. */
  goOn(other?: Other): string {
    return this.#words.goOn(String(this.#config['method']), this.dir, other)
  }

  /** Names a setting as the user gives it. */
  nameOf(setting: string): string {
    return this.#words.nameOf(setting)
  }

  /** Where to begin anew. */
  get elsewhere(): string {
    return this.#words.elsewhere
  }

  /** Begins a digest. */
  readonly nodeSha256 = nodeSha256

  /** What to do once a write that failed can succeed. */
  get retry(): string {
    return typeof this.#config['method'] === 'string' ? `run: ${this.goOn()}` : 'try again'
  }

  #checkHeld() {
    if (!this.#unlock) throw new Error(`${this.dir} is not open for writing; resumeRun opens it`)
  }
}
