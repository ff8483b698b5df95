// The configuration of a training: the preset, changed by what the command line says, whole enough to be run again from
// config.json alone.

import type { Precision } from '../kernels/op.ts'
import type { SimclrSettings } from '../methods/simclr-presets.ts'
import { simclrPresets } from '../methods/simclr-presets.ts'
import { precisions } from './precision.ts'

/** A complaint about the command line: told in one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Everything that decides a run's numbers, as config.json holds it. */
export interface TrainConfig extends SimclrSettings {
  readonly method: 'simclr'
  readonly preset: string
  /** The data set, as --data names it. */
  readonly data: string
  /** Side of the images that are loaded from a folder, in pixels. */
  readonly size: number
  /** How many training images are used; null for all. */
  readonly subset: number | null
  readonly seed: number
  /** Arithmetic of convolutions and matrix products, the kNN measurements' included. */
  readonly precision: Precision
  /** kNN: every how many epochs, over how many neighbours (null: 200, or a fiftieth of a small bank), with how many
   *  training images as bank and how many test images (null for all). */
  readonly knn: {
    readonly every: number
    readonly k: number | null
    readonly temperature: number
    readonly bank: number | null
    readonly queries: number | null
  }
  /** Steps between checkpoints; 0 for once an epoch. */
  readonly checkpointEvery: number
}

/** What `kindred train simclr` was told, as commander gives it. */
export interface TrainFlags {
  readonly data?: string
  readonly preset?: string
  readonly size?: number
  readonly subset?: number
  readonly model?: string
  readonly stem?: string
  readonly width?: number
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly temperature?: number
  readonly batchNorm?: string
  readonly seed?: number
  readonly precision?: string
  readonly knnEvery?: number
  readonly k?: number
  readonly knnTemperature?: number
  readonly knnBank?: number
  readonly knnQueries?: number
  readonly checkpointEvery?: number
}

/** The configuration that the flags mean; `software` chooses what a CPU adapter can do in reasonable time. Throws
 *  UsageError naming the flag, its value and what it may be. */
export function configOf(flags: TrainFlags, software: boolean): TrainConfig {
  const data = flags.data ?? 'procedural'
  const small = data.startsWith('procedural') || /^(cifar|idx)/.test(data)
  const preset = flags.preset ?? (flags.data === undefined ? 'simclr-demo' : 'simclr-cifar10')
  const found = simclrPresets[preset]
  if (!found) throw choice('--preset', preset, Object.keys(simclrPresets))
  const size = flags.size ?? (small ? 32 : found.size)
  const settings = onMachine(found.settings(size, flags.batch), flags, software)
  return {
    method: 'simclr',
    preset,
    data,
    size,
    subset: flags.subset ?? null,
    seed: flags.seed ?? 0,
    precision: oneOf('--precision', flags.precision, precisions) ?? 'f32',
    ...settings,
    model: {
      ...settings.model,
      name:
        oneOf('--model', flags.model, ['resnet8', 'resnet18', 'resnet34', 'resnet50']) ?? settings.model.name,
      stem: oneOf('--stem', flags.stem, ['cifar', 'imagenet']) ?? settings.model.stem,
      width: flags.width ?? settings.model.width,
    },
    batchNorm: oneOf('--batch-norm', flags.batchNorm, ['per-view', 'joint']) ?? settings.batchNorm,
    temperature: flags.temperature ?? settings.temperature,
    schedule: { ...settings.schedule, lr: flags.lr ?? settings.schedule.lr },
    epochs: flags.epochs ?? settings.epochs,
    knn: {
      every: flags.knnEvery ?? (preset === 'simclr-demo' ? 1 : 5),
      k: flags.k ?? null,
      temperature: flags.knnTemperature ?? settings.knn.temperature,
      bank: flags.knnBank ?? (software ? 2000 : null),
      queries: flags.knnQueries ?? (software ? 1000 : null),
    },
    checkpointEvery: flags.checkpointEvery ?? 0,
  }
}

/** The settings, with an encoder that a CPU can train in reasonable time where the flags choose none. */
function onMachine(settings: SimclrSettings, flags: TrainFlags, software: boolean): SimclrSettings {
  const chosen = flags.preset ?? flags.model ?? flags.width ?? flags.stem
  if (!software || chosen !== undefined || flags.data === undefined) return settings
  return { ...settings, model: { ...settings.model, name: 'resnet8', stem: 'cifar', width: 16 } }
}

/** The batch for so many images when the flags name none: the preset's, or the largest power of two that gives an epoch of
 *  at least two steps. */
export const fittingBatch = (batch: number, images: number) =>
  Math.min(batch, Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, images / 2)))))

/** The value of a flag that must be one of a few, null without it. Throws UsageError naming them. */
export function oneOf<T extends string>(
  flag: string,
  value: string | undefined,
  allowed: readonly T[],
): T | null {
  if (value === undefined) return null
  const found = allowed.find((a) => a === value)
  if (!found) throw choice(flag, value, allowed)
  return found
}

const choice = (flag: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${flag}: must be one of ${allowed.join(', ')}, got ${value}`)
