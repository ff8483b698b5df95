// The configuration of a training: the preset, changed by what the command line says, whole enough
// to be run again from config.json alone.

import type { Activations, Precision } from '../kernels/op.ts'
import type { AmdimSettings } from '../methods/presets/amdim.ts'
import type { EndToEndSettings, MemoryBankSettings } from '../methods/presets/mechanisms.ts'
import type { MocoSettings } from '../methods/presets/moco.ts'
import type { Settings } from '../methods/presets/settings.ts'
import type { SimclrSettings } from '../methods/presets/simclr.ts'
import { type BatchFlags, batchOf } from './batch.ts'
import { oneOf } from './choice.ts'
import type { Change } from './history.ts'
import { type MethodFlags, mergeMethod } from './method-flags.ts'
import { activationKinds, precisions } from './precision.ts'
import { type Method, presetOf } from './presets.ts'

/** What every run's config.json holds beside its method's settings. */
export interface RunConfig {
  readonly preset: string
  /** The data set, as --data names it; in config.json with an absolute path. */
  readonly data: string
  /** The same path as it is seen from the run folder. */
  readonly dataFromRun?: string
  /** Side of the images that are loaded from a folder, in pixels. */
  readonly size: number
  /** How many training images are used; null for all. */
  readonly subset: number | null
  readonly seed: number
  /** Arithmetic of convolutions and matrix products, the kNN measurements' included. */
  readonly precision: Precision
  /** What is kept of images for the backward pass. */
  readonly activations: Activations
  /** kNN: every how many epochs, over how many neighbours (null: 200, or a fiftieth of a small
   *  bank), with how many training images as bank and how many test images (null for all), of whose
   *  output. */
  readonly knn: {
    readonly every: number
    readonly k: number | null
    readonly temperature: number
    readonly bank: number | null
    readonly queries: number | null
    readonly layer?: 'features' | 'embedding'
  }
  /** Steps between checkpoints; 0 for once an epoch. */
  readonly checkpointEvery: number
  /** Kindred's version, Node's, and the adapter that the run began on. */
  readonly about?: { readonly adapter?: string }
  /** What was changed of a run that had begun, in order. */
  readonly history?: readonly Change[]
}

/** Everything that decides a run's numbers, as config.json holds it. */
export type TrainConfig = RunConfig & MethodConfig

/** The same of an AMDIM run, which shares none of the other methods' encoders, heads and
 *  schedules. */
export type AmdimConfig = RunConfig & AmdimSettings & { readonly method: 'amdim' }

export type AnyConfig = TrainConfig | AmdimConfig

/** A method's name and its settings. */
export type MethodConfig =
  | ({ readonly method: 'simclr' } & SimclrSettings)
  | ({ readonly method: 'moco' } & MocoSettings)
  | ({ readonly method: 'memory-bank' } & MemoryBankSettings)
  | ({ readonly method: 'end-to-end' } & EndToEndSettings)

/** What any `kindred train` may be told, as commander gives it. */
export interface RunFlags extends BatchFlags {
  readonly data?: string
  readonly preset?: string
  readonly size?: number
  readonly subset?: number
  readonly width?: number
  readonly epochs?: number
  readonly lr?: number
  readonly seed?: number
  readonly precision?: string
  readonly activations?: string
  readonly knnEvery?: number
  readonly k?: number
  readonly knnTemperature?: number
  readonly knnBank?: number
  readonly knnQueries?: number
  readonly checkpointEvery?: number
}

/** What the methods besides AMDIM take. */
export interface TrainFlags extends RunFlags, MethodFlags {
  readonly model?: string
  readonly stem?: string
  readonly temperature?: number
}

/** The configuration that a method's flags mean; `software` chooses what a CPU adapter can do in
 *  reasonable time. Throws UsageError naming the flag, its value and what it may be. */
export function configOf(method: Method, flags: TrainFlags, software: boolean): TrainConfig {
  const data = flags.data ?? 'procedural'
  const small = data.startsWith('procedural') || /^(cifar|idx)/.test(data)
  const {
    name: preset,
    size: presetSize,
    subset: few = null,
    settings: make,
  } = presetOf(method, flags)
  const subset = flags.subset ?? (flags.data === undefined ? few : null)
  const size = flags.size ?? (small ? 32 : presetSize)
  const merged = mergeMethod(make(size, batchOf(flags, make(size).batch)), flags)
  return {
    ...merged,
    ...shared(merged, flags, software),
    ...{ preset, data, size, subset, seed: flags.seed ?? 0 },
    precision: oneOf('--precision', flags.precision, precisions) ?? 'f32',
    activations: oneOf('--activations', flags.activations, activationKinds) ?? 'f32',
    knn: {
      every:
        flags.knnEvery ??
        (preset.endsWith('-demo') ? Math.ceil((flags.epochs ?? merged.epochs) / 10) : 5),
      k: flags.k ?? null,
      temperature: flags.knnTemperature ?? merged.knn.temperature,
      bank: flags.knnBank ?? (software ? 2000 : null),
      queries: flags.knnQueries ?? (software ? 1000 : null),
      ...(merged.knn.layer && { layer: merged.knn.layer }),
    },
    checkpointEvery: flags.checkpointEvery ?? 0,
  }
}

/** The settings that all methods have, as the flags change them. */
function shared(settings: Settings, flags: TrainFlags, software: boolean) {
  const { model } = onMachine(settings, flags, software)
  return {
    model: {
      ...model,
      name:
        oneOf('--model', flags.model, ['resnet8', 'resnet18', 'resnet34', 'resnet50']) ??
        model.name,
      stem: oneOf('--stem', flags.stem, ['cifar', 'imagenet']) ?? model.stem,
      width: flags.width ?? model.width,
    },
    temperature: flags.temperature ?? settings.temperature,
    schedule: scheduleOf(settings, flags),
    epochs: flags.epochs ?? settings.epochs,
  }
}

/** The schedule as the flags change it. A cosine that begins in its second epoch, as the original
 *  of a preset does, has a rate of 0 in its last one: harmless in the preset's many epochs, and
 *  left out of a run of another length. */
function scheduleOf({ schedule, epochs }: Settings, flags: TrainFlags): Settings['schedule'] {
  const { lr, firstEpoch } = schedule
  const first =
    firstEpoch !== undefined && (flags.epochs ?? epochs) !== epochs
      ? ({ firstEpoch: 0 } as const)
      : {}
  return { ...schedule, lr: flags.lr ?? lr, ...first }
}

/** The settings, with an encoder that a CPU can train in reasonable time where the flags choose
 *  none. */
function onMachine(settings: Settings, flags: TrainFlags, software: boolean): Settings {
  const chosen = flags.preset ?? flags.model ?? flags.width ?? flags.stem
  if (!software || chosen !== undefined || flags.data === undefined) return settings
  return { ...settings, model: { ...settings.model, name: 'resnet8', stem: 'cifar', width: 16 } }
}
