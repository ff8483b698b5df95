// What the methods with an encoder and a head have in common: their settings, and how these become
// networks, an optimizer and the options of a step.

import * as v from 'valibot'
import type { Gpu } from '../../engine/gpu.ts'
import type { Tower } from '../../models/parts.ts'
import type { Configured, Extent, Method } from '../entry.ts'
import { type EncoderSettings, encoderOf, encoderFields } from '../settings/encoders.ts'
import { towerFlags } from '../settings/flags.ts'
import { type HeadSettings, headOf } from '../settings/heads.ts'
import { type OptimizerSettings, optimizerFields } from '../settings/optimizers.ts'
import { positiveNumber } from '../settings/rules.ts'
import { type ScheduleSettings, learningRateOf, scheduleFields } from '../settings/schedules.ts'
import { type MethodSettings, lengthRules, viewsRule } from '../settings/settings.ts'

/** Settings of a method with an encoder and a head. */
export interface TowerSettings extends MethodSettings {
  readonly model: EncoderSettings
  readonly head: HeadSettings
  readonly temperature: number
  readonly optimizer: OptimizerSettings
  readonly schedule: ScheduleSettings
}

/** The rules of these settings but the head's. */
export const towerRules = {
  model: encoderFields,
  views: viewsRule,
  temperature: positiveNumber,
  optimizer: optimizerFields,
  schedule: scheduleFields,
  ...lengthRules,
} satisfies v.ObjectEntries

/** The encoder and the head that the settings say, with initial weights. */
export function towerOf(gpu: Gpu, settings: Configured<TowerSettings>): Tower {
  const encoder = encoderOf(gpu, settings)
  return { encoder, head: headOf(gpu, settings, encoder.features) }
}

/** The options that every method's step takes. */
export const stepOptions = (settings: Configured<TowerSettings>, extent: Extent) => ({
  schedule: learningRateOf(settings, extent.stepsPerEpoch),
  views: settings.views,
  chunk: settings.chunk ?? null,
  seed: settings.seed,
  temperature: settings.temperature,
  capture: extent.capture,
  ...(extent.scaler && { scaler: extent.scaler }),
})

/** What these methods share as rows of the registry. */
export const towerMethod = {
  flags: towerFlags,
  compared: () => true,
  onSoftware: <S extends TowerSettings>(settings: S): S => ({
    ...settings,
    model: { ...settings.model, name: 'resnet8', stem: 'cifar', width: 16 },
  }),
  describe: ({ model }: TowerSettings) => `${model.name} of width ${model.width}`,
  encoder: encoderOf,
  head: headOf,
  warmup: ({ schedule }: TowerSettings, stepsPerEpoch: number) =>
    schedule.warmupEpochs * stepsPerEpoch,
} satisfies Partial<Method<TowerSettings>>

/** The preset for the built-in images, and the one for others, as `presetFor` and in words. */
export const presetsBy = (demo: string, usual: string) => ({
  presetFor: ({ data }: { readonly data?: string }) => (data === undefined ? demo : usual),
  presetWords: `Without --data the preset is ${demo}, with it ${usual}.`,
})
