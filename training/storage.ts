// Where a training keeps what it has done: a run folder in Node, memory, a browser's storage.

import type { SavedTensor } from '../engine/safetensors.ts'
import type { Metric } from './metrics.ts'

/** A configuration as JSON. */
export type Config = Readonly<Record<string, unknown>>

/** A checkpoint as it was kept. */
export interface Checkpoint {
  readonly step: number
  /** Where it is, as messages name it. */
  readonly path: string
  readonly tensors: ReadonlyMap<string, SavedTensor>
  readonly metadata: Readonly<Record<string, string>>
}

/** A SHA-256 digest in the making. */
export interface Digest {
  readonly update: (bytes: Uint8Array) => unknown
  /** The digest of all bytes so far, in hexadecimal. */
  readonly hex: () => string
}

/** Begins a SHA-256 digest. */
export type Sha256 = () => Digest

/** A setting to go on with: { 'schedule.lr': 0.01 }. */
export type Other = Readonly<Record<string, number>>

/** Keeps one training. Every write leaves either the old state or the new one, whatever happens to
 *  the process. */
export interface TrainingStorage {
  /** As messages name it: the folder of a run. */
  readonly name: string
  /** The configuration that it was begun with, changed by `writeConfig`. */
  readonly config: Config
  writeConfig(config: Config): Promise<void>
  /** Keeps one more metric. */
  append(metric: Metric): Promise<void> | void
  /** All metrics in order. */
  metrics(): Promise<readonly Metric[]>
  /** Drops the metrics that are not to be kept. */
  keepMetrics(isKept: (metric: Metric) => boolean): Promise<void>
  /** Keeps a checkpoint, and the metrics so far before it. `best` is true for the best accuracy
   *  yet. Resolves to its `path`. */
  saveCheckpoint(
    step: number,
    tensors: ReadonlyMap<string, SavedTensor>,
    metadata: Readonly<Record<string, string>>,
    options?: { readonly best?: boolean },
  ): Promise<string>
  /** The newest checkpoint that can be read, or null, and a line about each newer one that is
   *  damaged. */
  latest(): Promise<{ readonly checkpoint: Checkpoint | null; readonly damaged: readonly string[] }>
  /** What the user does to go on with the training, with other settings if any are given. */
  goOn(other?: Other): string
  /** Where to begin anew: 'another --out'. */
  readonly elsewhere: string
  /** Names a setting as the user gives it: 'epochs', or '--epochs'. */
  nameOf(setting: string): string
  /** Digests of the images; by a library in plain JavaScript when absent. */
  readonly sha256?: Sha256
}
