// The configuration of an AMDIM training: the preset, changed by what the command line says.

import { amdimPresets } from '../methods/presets/amdim.ts'
import { amdimMaps } from '../models/amdim-layers.ts'
import { batchOf, checkBatch } from './batch.ts'
import { chunkOf } from './chunk.ts'
import { UsageError, choice, oneOf } from './choice.ts'
import type { AmdimConfig, RunFlags } from './config.ts'
import { activationKinds, precisions } from './precision.ts'

/** What `kindred train amdim` was told, as commander gives it. */
export interface AmdimFlags extends RunFlags {
  readonly chunk?: number
  readonly features?: number
  readonly depth?: number
  readonly encoderNorm?: boolean
}

/** The configuration that the flags mean; `software` chooses what a CPU adapter can do in
 *  reasonable time. Throws UsageError. */
export function amdimConfig(flags: AmdimFlags, software: boolean): AmdimConfig {
  const data = flags.data ?? 'procedural'
  const usual = data.startsWith('stl10') ? 'amdim-stl10' : 'amdim-cifar-small'
  const preset = flags.preset ?? (flags.data === undefined || software ? 'amdim-demo' : usual)
  const found = amdimPresets[preset]
  if (!found) throw choice('--preset', preset, Object.keys(amdimPresets))
  const small = data.startsWith('procedural') || /^(cifar|idx)/.test(data)
  const size = flags.size ?? (small ? 32 : found.size)
  const settings = found.settings(size, batchOf(flags, found.settings(size).batch))
  const { model, schedule, knn } = settings
  checkBatch(settings.batch, { compared: true })
  checkMaps({ size, width: flags.width ?? model.width, features: flags.features ?? model.features })
  return {
    ...settings,
    ...{ method: 'amdim', preset, data, size, subset: flags.subset ?? null, seed: flags.seed ?? 0 },
    precision: oneOf('--precision', flags.precision, precisions) ?? 'f32',
    activations: oneOf('--activations', flags.activations, activationKinds) ?? 'f32',
    model: {
      ...model,
      width: flags.width ?? model.width,
      features: flags.features ?? model.features,
      depth: flags.depth ?? model.depth,
      batchNorm: flags.encoderNorm ?? model.batchNorm,
    },
    schedule: { ...schedule, lr: flags.lr ?? schedule.lr },
    chunk: chunkOf(flags.chunk, settings),
    epochs: flags.epochs ?? settings.epochs,
    knn: {
      every: flags.knnEvery ?? (preset === 'amdim-demo' ? 1 : 5),
      k: flags.k ?? null,
      temperature: flags.knnTemperature ?? knn.temperature,
      bank: flags.knnBank ?? (software ? 2000 : null),
      queries: flags.knnQueries ?? (software ? 1000 : null),
    },
    checkpointEvery: flags.checkpointEvery ?? 0,
  }
}

/** Throws UsageError for a size or a number of features that the encoder has no layers for. */
export function checkMaps(shape: Parameters<typeof amdimMaps>[0]) {
  try {
    amdimMaps(shape)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const flag = error.message.includes('features must') ? '--features' : '--size'
    throw new UsageError(`${flag}: ${error.message.replace('amdimEncoder: ', '')}`, {
      cause: error,
    })
  }
}
