// A method as the registry has it: its settings with their rules and options, the networks that
// they make, and what a checkpoint of it holds.

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

/** Settings of a training: those of its method, and the two that networks depend on. */
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
  /** False runs steps one by one instead of replaying them; the bits are the same. */
  readonly capture: boolean
  /** Scales the loss; absent in f32. */
  readonly scaler?: LossScaler
}

/** State beside encoder, head and optimizer that a checkpoint holds. */
export interface Saved {
  /** Models by the prefix of their parameters' names. */
  readonly models: Readonly<Record<string, Model>>
  readonly variables: Named
  readonly counters: Readonly<Record<string, Counter>>
  /** What to say when a variable has another number of rows in a checkpoint; by its name. */
  readonly resized?: Readonly<Record<string, (was: number, is: number) => string>>
}

/** A number that a checkpoint's metadata holds. */
export interface Counter {
  readonly read: () => number
  readonly write: (value: number) => void
}

/** Nothing beside encoder, head and optimizer. */
export const nothing: Saved = { models: {}, variables: {}, counters: {} }

/** A method at work, and all that a checkpoint of it holds. */
export interface Trainer {
  /** Runs one step on a batch, whose images have these positions in the data set. Returns its loss,
   *  or several numbers named by `terms`, the loss first. */
  readonly step: (batch: ImageBatch, indices: IndexList) => Tensor
  readonly terms?: readonly string[]
  readonly encoder: Model
  readonly head: Model
  readonly optimizer: FlatOptimizer
  readonly schedule: Schedule
  readonly state: { step: number }
  /** Why the last step was not replayed, and how many were. */
  readonly captured: { readonly reason: string | null; readonly replays: number }
  readonly kept: Saved
}

/** A tensor that a method keeps on the GPU: [rows, dim] floats. */
export interface BoundRows {
  /** The setting that decides how many there are, or what they are in words. */
  readonly what: string
  readonly rows: number
  readonly dim: number
  /** How to ask for at most so many. */
  readonly remedy: (most: number) => string
}

/** A method of the registry. `S` are its own settings. */
export interface Method<S extends MethodSettings = MethodSettings> {
  readonly name: string
  /** As messages name it. */
  readonly title: string
  /** One line for --help: the paper, and the idea. */
  readonly about: string
  readonly presets: Readonly<Record<string, PresetOf<S>>>
  /** The preset of a training that names none: for the built-in images (no `data`) or for others. */
  readonly presetFor: (at: { readonly data?: string; readonly software: boolean }) => string
  /** Which preset that is, in words, for --help. */
  readonly presetWords: string
  /** The rule of each setting. */
  readonly rules: SettingRules
  /** Rules between settings: what is wrong, or null. `name` names a setting to the reader. */
  readonly check?: (settings: Configured<S>, name: NameOf) => Wrong | null
  readonly flags: readonly Flag[]
  /** True where an image is compared with the others of its batch, so that there must be others. */
  readonly compared: (settings: S) => boolean
  /** Settings that follow from others, once the options are in; `given` holds the options' values.
   *  Throws RangeError for an option that the settings have no use for. */
  readonly settle?: (settings: S, given: Readonly<Record<string, unknown>>) => S
  /** What a CPU adapter can train in reasonable time, where no option chooses the model. */
  readonly onSoftware?: (settings: S) => S
  /** The model in words. */
  readonly describe: (settings: S) => string
  /** The encoder with initial weights, and the head on it; null where there is none. */
  readonly encoder: (gpu: Gpu, settings: Configured<S>) => Model
  readonly head: (gpu: Gpu, settings: Configured<S>, features: number) => Model | null
  /** The method at step 0. */
  readonly build: (gpu: Gpu, settings: Configured<S>, extent: Extent) => Trainer
  /** Steps of the climb that the learning rate begins with. */
  readonly warmup: (settings: S, stepsPerEpoch: number) => number
  /** Steps until the random negatives that it begins with are gone; absent where it has none. */
  readonly filling?: (settings: S, stepsPerEpoch: number) => number
  /** Tensors whose size a setting or the data set decides, for so many images. */
  readonly rows?: (settings: S, images: number) => readonly BoundRows[]
  /** Lines worth telling before a training of so many images begins, each with what a new run does
   *  about it. */
  readonly notes?: (
    settings: S,
    images: number,
  ) => readonly { readonly text: string; readonly remedy: string }[]
  /** True where what it keeps belongs to the data set, image by image. */
  readonly perImage?: boolean
}

/** A method as a row of the registry, which knows settings by their common part alone: a
 *  configuration has passed the method's own rules before any of its functions sees it. */
export const entry = <S extends MethodSettings>(method: Method<S>): Method =>
  method as unknown as Method
