// The common part of the methods with an encoder and a head: settings, networks, options of a step.

import type * as v from 'valibot'
import type { Gpu } from '../../engine/gpu.ts'
import type { Tower } from '../../models/parts.ts'
import type { Configured, Extent, Method } from '../entry.ts'
import {
  type EncoderSettings,
  describeEncoder,
  encoderFields,
  encoderOf,
} from '../settings/encoders.ts'
import { towerFlags } from '../settings/flags.ts'
import { type HeadSettings, headOf } from '../settings/heads.ts'
import { type OptimizerSettings, optimizerFields } from '../settings/optimizers.ts'
import { type ScheduleSettings, learningRateOf, scheduleFields } from '../settings/schedules.ts'
import { type MethodSettings, lengthRules, viewsRule } from '../settings/settings.ts'
import {
  type TemperatureSettings,
  temperatureBy,
  temperatureFields,
} from '../settings/temperatures.ts'

/** Settings of a method with an encoder and a head. */
export interface TowerSettings extends MethodSettings {
  readonly model: EncoderSettings
  readonly head: HeadSettings
  readonly temperature: TemperatureSettings
  readonly optimizer: OptimizerSettings
  readonly schedule: ScheduleSettings
}

/** The rules of these settings except the head's. */
export const towerRules = {
  model: encoderFields,
  views: viewsRule,
  temperature: temperatureFields,
  optimizer: optimizerFields,
  schedule: scheduleFields,
  ...lengthRules,
} satisfies v.ObjectEntries

/** Makes the encoder and the head of the settings, with initial weights. */
export function towerOf(gpu: Gpu, settings: Configured<TowerSettings>): Tower {
  const encoder = encoderOf(gpu, settings)
  return { encoder, head: headOf(gpu, settings, encoder.features) }
}

/** Returns the options of every method's step. */
export const stepOptions = (settings: Configured<TowerSettings>, extent: Extent) => ({
  schedule: learningRateOf(settings, extent.stepsPerEpoch),
  views: settings.views,
  chunk: settings.chunk ?? null,
  seed: settings.seed,
  temperature: temperatureBy(settings, extent.stepsPerEpoch),
  capture: extent.capture,
  ...(extent.scaler && { scaler: extent.scaler }),
})

/** The common part of these methods' registry entries. */
export const towerMethod = {
  flags: towerFlags,
  compared: () => true,
  onSoftware: <S extends TowerSettings>(settings: S): S => ({
    ...settings,
    model: { ...settings.model, name: 'resnet8', stem: 'cifar', width: 16 },
  }),
  describe: ({ model }: TowerSettings) => describeEncoder(model),
  encoder: encoderOf,
  head: headOf,
  warmup: ({ schedule }: TowerSettings, stepsPerEpoch: number) =>
    schedule.warmupEpochs * stepsPerEpoch,
} satisfies Partial<Method<TowerSettings>>

/** Makes `presetFor` of the presets for the built-in images and for other data, and its words. */
export const presetsBy = (demo: string, usual: string) => ({
  presetFor: ({ data }: { readonly data?: string }) => (data === undefined ? demo : usual),
  presetWords: `The default is ${demo} without --data, ${usual} with it.`,
})
