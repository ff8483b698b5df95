// The configuration of a training: a preset, changed by options. Its JSON alone repeats the run.

import { type Rules, anything, checkOptions, checkValue, flag, oneOf } from '../kernels/options.ts'
import { kindOfSource } from '../data/kinds.ts'
import type { Method } from '../methods/entry.ts'
import { methodOf, methods } from '../methods/registry.ts'
import { nameOf } from '../methods/settings/flags.ts'
import { fittingBatch, wrongBatch } from '../methods/settings/batch.ts'
import type { PresetOf, MethodSettings } from '../methods/settings/settings.ts'
import { activationKinds, precisions } from '../methods/settings/words.ts'
import { wrongBetween } from './check-config.ts'
import { UsageError, choice, choose } from './choice.ts'
import { flagOf, flagsOf, mergeFlags } from './options.ts'
import type { RunConfig, TrainConfig } from './run-schema.ts'

/** Options of a configuration, by the names of `kindred train`: { preset, data, epochs, queue }. A
 *  method's `flags` list its own. */
export interface ConfigOptions {
  readonly data?: string
  readonly preset?: string
  readonly size?: number
  readonly subset?: number
  readonly batch?: number
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
  /** 'off' fits no linear probe beside kNN. */
  readonly probe?: string
  readonly checkpointEvery?: number
  /** Number of images to train on, if known. */
  readonly images?: number
  readonly [option: string]: unknown
}

/** Names of the options that every method takes. */
const common = [
  ...['data', 'preset', 'size', 'subset', 'batch', 'epochs', 'lr', 'seed', 'precision'],
  ...['activations', 'knnEvery', 'k', 'knnTemperature', 'knnBank', 'knnQueries', 'probe'],
  ...['checkpointEvery', 'images'],
]

/** Makes the configuration of a training by a method of the registry, such as 'simclr': its preset,
 *  changed by the options. `software` chooses settings for a CPU adapter. Throws TypeError for an
 *  option that the method does not have, and Error with the option, its rule and its value. */
export function configOf(name: string, options: ConfigOptions = {}, software = false): TrainConfig {
  checkValue('configOf', 'method', name, oneOf(...methods.keys()))
  const known = [...common, ...flagsOf(methodOf(name)).map(nameOf)]
  checkOptions(
    'configOf',
    options,
    Object.fromEntries(known.map((option) => [option, anything])) as Rules<ConfigOptions>,
  )
  checkValue('configOf', 'software', software, flag)
  return configFrom(name, options, software)
}

/** As `configOf`, for options that are checked already. Others than the method's are passed over.
 *  Throws UsageError with the option, its rule and its value. */
export function configFrom(name: string, options: ConfigOptions, software: boolean): TrainConfig {
  const method = methodOf(name)
  const preset = presetOf(method, options, software)
  const data = options.data ?? 'procedural'
  const size = options.size ?? kindOfSource(data)?.side ?? preset.size
  const settings = settingsOf(method, preset, { options, software, size })
  const config: TrainConfig = {
    ...settings,
    ...{ method: name, preset: preset.name, data, size },
    subset: options.subset ?? (options.data === undefined ? (preset.subset ?? null) : null),
    seed: options.seed ?? 0,
    chunk: settings.chunk ?? null,
    precision: choose('--precision', options.precision, precisions) ?? 'f32',
    activations: choose('--activations', options.activations, activationKinds) ?? 'f32',
    knn: knnOf(settings, preset.name, options, software),
    checkpointEvery: options.checkpointEvery ?? 0,
  }
  refuseBroken(method, config)
  return config
}

/** Throws UsageError for the first rule between settings that a configuration breaks. */
function refuseBroken(method: Method, config: TrainConfig) {
  const name = flagOf(method)
  const compared = method.compared(config)
  const wrong = wrongBatch(config.batch, { compared }) ?? wrongBetween(config, name)[0]
  if (wrong) throw new UsageError(`${name(wrong.setting)}: ${wrong.reason}`)
}

/** Returns the preset that the options name, else the method's default for the data. Throws
 *  UsageError. */
export function presetOf(
  method: Method,
  { preset, data }: Pick<ConfigOptions, 'preset' | 'data'>,
  software: boolean,
): PresetOf<MethodSettings> & { readonly name: string } {
  const name = preset ?? method.presetFor({ ...(data !== undefined && { data }), software })
  const found = method.presets[name]
  if (!found) throw choice('--preset', name, Object.keys(method.presets))
  return { name, ...found }
}

interface Chosen {
  readonly options: ConfigOptions
  readonly software: boolean
  readonly size: number
}

/** Returns the settings of a preset, changed by the options. */
function settingsOf(
  method: Method,
  preset: PresetOf<MethodSettings>,
  { options, software, size }: Chosen,
): MethodSettings {
  const { data, images, preset: named } = options
  const usual = preset.settings(size).batch
  const batch = options.batch ?? (images === undefined ? usual : fittingBatch(usual, images))
  const own = preset.settings(size, batch)
  const ofModel = ['model', 'width', 'stem', 'patch', 'dropPath'].map((name) => options[name])
  const isChosen = [named, ...ofModel].some((value) => value !== undefined)
  const fits = !software || isChosen || data === undefined
  const begun = fits ? own : (method.onSoftware?.(own) ?? own)
  const { settings, given } = mergeFlags(method, begun, options)
  return lengthened(settled(method, settings, given), own)
}

/** Adds the settings that follow from others. Throws UsageError for an option without effect. */
function settled(
  method: Method,
  settings: MethodSettings,
  given: Readonly<Record<string, unknown>>,
) {
  try {
    return method.settle?.(settings, given) ?? settings
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new UsageError(error.message, { cause: error })
  }
}

/** Adapts the schedule to another number of epochs than the preset's. A cosine that begins at its
 *  second epoch, as in a preset's original code, ends with an epoch at rate 0. A run of another
 *  length begins at the first epoch instead. */
const lengthened = (settings: MethodSettings, preset: MethodSettings): MethodSettings =>
  settings.schedule.firstEpoch === undefined || settings.epochs === preset.epochs
    ? settings
    : { ...settings, schedule: { ...settings.schedule, firstEpoch: 0 } }

/** Returns the settings of the kNN measurements. */
function knnOf(
  { knn, epochs }: MethodSettings,
  preset: string,
  options: ConfigOptions,
  software: boolean,
): RunConfig['knn'] {
  const every = preset.endsWith('-demo') ? Math.ceil(epochs / 10) : 5
  return {
    every: options.knnEvery ?? every,
    k: options.k ?? null,
    temperature: options.knnTemperature ?? knn.temperature,
    bank: options.knnBank ?? (software ? 2000 : null),
    queries: options.knnQueries ?? (software ? 1000 : null),
    ...(knn.layer && { layer: knn.layer }),
    probe: choose('--probe', options.probe, ['on', 'off'] as const) !== 'off',
  }
}
