// What goes between a page and the worker that trains for it.

import type { ImagesInMemory } from '../data/memory-dataset.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import type { OpenOptions } from '../engine/open.ts'
import type { Embeddings } from '../evaluate/embed.ts'
import type { EncoderLayer } from '../training/encoder.ts'
import type { Outcome } from '../training/outcome.ts'
import type { TrainingEvent } from '../training/progress.ts'
import type { RunContents } from '../training/run-contents.ts'
import type { Config } from '../training/storage.ts'

/** Images in memory, as `memoryDataset` takes them, of bytes. */
export interface WorkerImages extends ImagesInMemory {
  /** u8 [N, H, W, 3], one image behind another. */
  readonly pixels: Uint8Array | Uint8ClampedArray
}

/** A run. */
export interface RunCopy {
  readonly name: string
  readonly config: Config
  /** What was saved of it; null before the first checkpoint. */
  readonly contents: RunContents | null
}

/** The halves of a data set. */
export interface SentImages {
  readonly train: WorkerImages
  readonly test: WorkerImages | null
}

/** The beginning of a training. Its images are those that the page gives, or that the run keeps. */
export interface StartMessage {
  readonly run: RunCopy
  readonly images: SentImages | SafetensorsFile
  readonly gpu: OpenOptions
}

/** What the worker trains on. */
export interface WorkerGpu {
  /** The adapter and the precision, as a Gpu prints. */
  readonly gpu: string
  /** True on a software adapter. */
  readonly software: boolean
}

/** What the worker does for the page. Every answer may be an error. */
export interface TrainingService {
  /** Answers at once: the script has started. Throws Error while it trains. */
  hello(): true
  start(message: StartMessage): Promise<WorkerGpu>
  train(onEvent: (event: TrainingEvent) => unknown): Promise<Outcome>
  /** Asks `train` to finish the step under way, save and resolve. */
  stop(): void
  /** Computes features of given images, or of one half of the training's. */
  embed(of: 'train' | 'test' | WorkerImages, layer?: EncoderLayer): Promise<Embeddings>
  run(): Promise<RunCopy>
}
