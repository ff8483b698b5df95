// An entry of the registry: a method's settings with their rules and options, its networks, and the
// state in its checkpoints.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { FlatOptimizer, Named } from '../engine/optim/optimizer.ts'
import type { Schedule } from '../engine/optim/schedule.ts'
import type { Model } from '../models/model.ts'
import type { ImageBatch } from './image-batch.ts'
import type { NameOf, Wrong } from './settings/batch.ts'
import type { Flag } from './settings/flags.ts'
import type { PresetOf, SettingRules, MethodSettings } from './settings/settings.ts'

/** Settings of a method, with the seed and the size of a training, on which networks depend. */
export type Configured<S extends MethodSettings = MethodSettings> = S & {
  readonly seed: number
  /** Side of the views, in pixels. */
  readonly size: number
}

/** The images and the length of a training. */
export interface Extent {
  readonly stepsPerEpoch: number
  readonly images: {
    readonly size: number
    readonly labels: Int32Array | null
    readonly classes: readonly string[]
  }
  /** False runs steps one by one instead of replaying them. The bits are the same. */
  readonly capture: boolean
  /** Scaler of the loss; absent in f32. */
  readonly scaler?: LossScaler
}

/** State in a checkpoint besides encoder, head and optimizer. */
export interface Saved {
  /** Models, by the prefix of their parameters' names. */
  readonly models: Readonly<Record<string, Model>>
  readonly variables: Named
  readonly counters: Readonly<Record<string, Counter>>
  /** Messages for a variable with another number of rows in a checkpoint, by its name. */
  readonly resized?: Readonly<Record<string, (was: number, is: number) => string>>
}

/** A number in a checkpoint's metadata. */
export interface Counter {
  readonly read: () => number
  readonly write: (value: number) => void
}

/** No state besides encoder, head and optimizer. */
export const nothing: Saved = { models: {}, variables: {}, counters: {} }

/** A method in training, and the state for its checkpoints. */
export interface Trainer {
  /** Runs one step on a batch. `indices` are those of its images in the data set. Returns the loss,
   *  or several numbers named by `terms`, the loss first. */
  readonly step: (batch: ImageBatch, indices: IndexList) => Tensor
  /** Compiles the kernels of such a step, in the background. */
  readonly warm: (batch: ImageBatch, indices: IndexList) => Promise<void>
  readonly terms?: readonly string[]
  readonly encoder: Model
  readonly head: Model
  readonly optimizer: FlatOptimizer
  readonly schedule: Schedule
  readonly state: { step: number }
  /** Reason why the last step was not replayed, and number of replayed steps. */
  readonly captured: { readonly reason: string | null; readonly replays: number }
  readonly kept: Saved
}

/** A tensor [rows, dim] of a method on the GPU, whose size a setting or the data decides. */
export interface BoundRows {
  /** Option that decides the number of rows, or a description. */
  readonly what: string
  readonly rows: number
  readonly dim: number
  /** Says how to get at most `most` rows. */
  readonly remedy: (most: number) => string
}

/** A method of the registry. `S` is the type of its settings. */
export interface Method<S extends MethodSettings = MethodSettings> {
  readonly name: string
  /** Name in messages. */
  readonly title: string
  /** Paper and idea in one line, for --help. */
  readonly about: string
  readonly presets: Readonly<Record<string, PresetOf<S>>>
  /** Returns the default preset: for the built-in images (no `data`), or for other data. */
  readonly presetFor: (at: { readonly data?: string; readonly software: boolean }) => string
  /** The default preset in words, for --help. */
  readonly presetWords: string
  /** Rule of each setting. */
  readonly rules: SettingRules
  /** Checks the rules between settings. Returns the wrong setting with the reason, or null. `name`
   *  names a setting for the user. */
  readonly check?: (settings: Configured<S>, name: NameOf) => Wrong | null
  readonly flags: readonly Flag[]
  /** Returns true if the loss compares an image with the others of its batch, which then needs 2 or
   *  more. */
  readonly compared: (settings: S) => boolean
  /** Returns the settings with those that follow from others. `given` holds the options' values.
   *  Throws RangeError for an option without effect. */
  readonly settle?: (settings: S, given: Readonly<Record<string, unknown>>) => S
  /** Returns settings for a CPU adapter, used if no option chooses the model. */
  readonly onSoftware?: (settings: S) => S
  /** Describes the model in words. */
  readonly describe: (settings: S) => string
  /** Makes the encoder, and the head on it, with initial weights. The head may be null. */
  readonly encoder: (gpu: Gpu, settings: Configured<S>) => Model
  readonly head: (gpu: Gpu, settings: Configured<S>, features: number) => Model | null
  /** Makes the method at step 0. */
  readonly build: (gpu: Gpu, settings: Configured<S>, extent: Extent) => Trainer
  /** Returns the steps of the warm-up. */
  readonly warmup: (settings: S, stepsPerEpoch: number) => number
  /** Returns the steps until the first, random negatives are replaced; absent without them. */
  readonly filling?: (settings: S, stepsPerEpoch: number) => number
  /** Lists the tensors whose size a setting or the number of images decides. */
  readonly rows?: (settings: S, images: number) => readonly BoundRows[]
  /** Lists notes to print before a training of `images` images, each with a remedy for a new
   *  run. */
  readonly notes?: (
    settings: S,
    images: number,
  ) => readonly { readonly text: string; readonly remedy: string }[]
  /** True if the method keeps state for each image, which belongs to the data set. */
  readonly perImage?: boolean
}

/** Makes an entry of the registry, which knows only the common settings. The method's rules check a
 *  configuration before the method's functions receive it. */
export const entry = <S extends MethodSettings>(method: Method<S>): Method =>
  method as unknown as Method
