// A run as a folder: config.json, metrics.jsonl, checkpoints/ and report.html.
// Whatever happens to the process, the folder holds its last good state.

import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SavedTensor } from '../engine/safetensors.ts'
import { makeFolder, readBytes, writeAtomic, writeError } from '../engine/node-files.ts'
import {
  type Checkpoint,
  type CheckpointOptions,
  bestCheckpoint,
  newestCheckpoint,
  saveCheckpoint,
} from './checkpoints.ts'
import { resumeCommand } from './command.ts'
import { type Wanted, lock } from './lock.ts'
import { LOCK, checkEmpty } from './check-place.ts'
import { type Metric, metricOf } from './metrics.ts'
import { type Config, bytesOf, configBytes, exists, readConfig } from './run-config.ts'

/** A new run in `dir`, which is created; this process holds it until `close`. Throws Error when it
 *  already holds a run, is in use, or cannot be written. */
export async function createRun(dir: string, config: Config): Promise<RunFolder> {
  await makeFolder(dir)
  return holding(dir, { resuming: false }, async (unlock) => {
    await checkEmpty(dir)
    await makeFolder(join(dir, 'checkpoints'))
    await writeAtomic(join(dir, 'config.json'), configBytes(config)).catch(
      async (error: unknown) => {
        await rmdir(join(dir, 'checkpoints')) // so that the same command may be tried again
        throw error
      },
    )
    return new RunFolder(dir, config, unlock)
  })
}

/** The run in `dir`, for reading. Throws Error when it is not a run folder or its config.json is
 *  damaged. */
export async function openRun(dir: string): Promise<RunFolder> {
  return new RunFolder(dir, await readConfig(dir), null)
}

/** The run in `dir`, for going on with it: this process holds it until `close`, and what an
 *  interrupted write left behind is removed. Throws like `openRun`, and when another process holds
 *  it. */
export async function resumeRun(dir: string): Promise<RunFolder> {
  const config = await readConfig(dir)
  return holding(dir, { resuming: true }, async (unlock) => {
    await makeFolder(join(dir, 'checkpoints'))
    for (const folder of [dir, join(dir, 'checkpoints')])
      for (const name of await readdir(folder))
        if (name.startsWith('.') && name.endsWith('.tmp'))
          await rm(join(folder, name), { force: true })
    const run = new RunFolder(dir, config, unlock)
    await run.truncateMetrics(Infinity) // a line cut short would run into the next one
    return run
  })
}

/** Runs `body` with the lock on `dir`, which it passes on, or which is given back when it
 *  throws. */
async function holding<T>(
  dir: string,
  wanted: Wanted,
  body: (unlock: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const unlock = await lock(join(dir, LOCK), dir, wanted)
  try {
    return await body(unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}

/** A run folder; made by `createRun`, `openRun` or `resumeRun`. */
export class RunFolder {
  readonly dir: string
  #config: Config
  #unlock: (() => Promise<void>) | null // null when this process does not hold the run
  #log: number | null = null // file descriptor of metrics.jsonl

  constructor(dir: string, config: Config, unlock: (() => Promise<void>) | null) {
    this.dir = dir
    this.#config = config
    this.#unlock = unlock
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

  /** Resolves when no line of metrics.jsonl is of a later step: what a resumed run will measure
   *  again is dropped. */
  truncateMetrics(step: number) {
    return this.keepMetrics((metric) => metric.step <= step)
  }

  /** Resolves when metrics.jsonl holds those lines alone that are to be kept. */
  async keepMetrics(isKept: (metric: Metric) => boolean) {
    this.#checkHeld()
    const kept = (await this.metrics()).filter(isKept)
    this.#closeLog()
    const lines = kept.map((metric) => `${JSON.stringify(metric)}\n`).join('')
    await writeAtomic(this.path('metrics.jsonl'), bytesOf(lines), { retry: this.retry })
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
    const { checkpoint, damaged } = await newestCheckpoint(this.path('checkpoints'))
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

  /** What to do once a write that failed can succeed. */
  get retry(): string {
    const { method } = this.#config
    return typeof method === 'string' ? `run: ${resumeCommand(method, this.dir)}` : 'try again'
  }

  #checkHeld() {
    if (!this.#unlock) throw new Error(`${this.dir} is not open for writing; resumeRun opens it`)
  }
}
