// The storage of a training: a run folder in Node, memory, a browser's storage.

import type { Split } from '../data/dataset.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import type { Metric } from './metrics.ts'

/** A configuration as JSON. */
export type Config = Readonly<Record<string, unknown>>

/** A saved checkpoint. */
export interface Checkpoint {
  readonly step: number
  /** Path for messages. */
  readonly path: string
  readonly tensors: ReadonlyMap<string, SavedTensor>
  readonly metadata: Readonly<Record<string, string>>
}

/** An unfinished SHA-256 digest. */
export interface Digest {
  readonly update: (bytes: Uint8Array) => unknown
  /** Returns the digest of all bytes so far, in hexadecimal. */
  readonly hex: () => string
}

/** Begins a SHA-256 digest. */
export type Sha256 = () => Digest

/** Settings for a resumed training: { 'schedule.lr': 0.01 }. */
export type Other = Readonly<Record<string, number>>

/** Stores one training. Every write leaves the old state or the new one, even if the process is
 *  killed. */
export interface TrainingStorage {
  /** Name for messages: the folder of a run. */
  readonly name: string
  /** Configuration; `writeConfig` replaces it. */
  readonly config: Config
  /** Replaces the configuration, once `checkConfig` and the newest checkpoint allow it. */
  writeConfig(config: Config): Promise<void>
  /** Appends a metric. */
  append(metric: Metric): Promise<void> | void
  /** Resolves to all metrics in order. */
  metrics(): Promise<readonly Metric[]>
  /** Drops the metrics for which `isKept` returns false. */
  keepMetrics(isKept: (metric: Metric) => boolean): Promise<void>
  /** Saves the metrics so far, then a checkpoint. `best` is true for the best accuracy so far.
   *  Resolves to the checkpoint's `path`. */
  saveCheckpoint(
    step: number,
    tensors: ReadonlyMap<string, SavedTensor>,
    metadata: Readonly<Record<string, string>>,
    options?: { readonly best?: boolean },
  ): Promise<string>
  /** Resolves to the newest readable checkpoint, or null, and a line about each damaged newer
   *  one. */
  latest(): Promise<{ readonly checkpoint: Checkpoint | null; readonly damaged: readonly string[] }>
  /** Resolves to the checkpoint of the best accuracy, or null; absent where none is kept. */
  bestCheckpoint?(): Promise<Checkpoint | null>
  /** Resolves to the images that are kept with the training, null without; absent where none can
   *  be. */
  images?(): Promise<Split | null>
  /** Keeps the images of a training with it. */
  keepImages?(images: Split): Promise<void>
  /** Returns what the user types to resume the training, with other settings if given. */
  goOn(other?: Other): string
  /** Place of a new training in messages: 'another --out'. */
  readonly elsewhere: string
  /** Returns a setting's name for the user: 'epochs', or '--epochs'. */
  nameOf(setting: string): string
  /** Computes digests of the images; a library in plain JavaScript does if absent. */
  readonly sha256?: Sha256
}
