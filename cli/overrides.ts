// --set and --config: any setting by its path, and a file of settings.

import { readFile } from 'node:fs/promises'
import { methodOf } from '../methods/registry.ts'
import { nameOf } from '../methods/settings/flags.ts'
import { wrongFields } from '../training/check-config.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { type ConfigOptions, configFrom } from '../training/config.ts'
import { type Changes, changesBetween, leaves } from '../training/history.ts'
import { objectFault, parse } from '../training/json.ts'
import { nearestName } from '../kernels/options.ts'
import { flagsOf, isGiven, withoutOthers } from '../training/options.ts'

/** Options that override settings by path or by file. */
export interface OverrideFlags {
  /** Texts of the form PATH=VALUE. */
  readonly set?: readonly string[]
  /** Path of a file in the format of config.json. */
  readonly config?: string
}

/** Settings of the --config file, its path, and the texts of --set. */
export interface Overrides {
  readonly file: Readonly<Record<string, unknown>> | null
  readonly path: string
  readonly set: readonly string[]
}

/** Fields of config.json that are no settings. */
const ASIDE = ['about', 'history', 'dataFromRun']
/** Fields that other words of the command decide, with the remedy. */
const DECIDED: Readonly<Record<string, string>> = {
  method: 'the command names the method',
  preset: 'give --preset',
  data: 'give --data',
}

/** Reads the file of --config. Throws UsageError if it is no JSON object or is of another
 *  method. */
export async function readOverrides(
  method: string,
  { set = [], config: path }: OverrideFlags,
): Promise<Overrides> {
  if (path === undefined) return { file: null, path: '', set }
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new UsageError(`--config: cannot read ${path}; give a file such as config.json`, {
      cause,
    })
  })
  const file = parse(text)
  const fault = objectFault(text)
  if (fault !== null || !isObject(file))
    throw new UsageError(
      `--config: ${path} must be a JSON object, in the format of config.json; ${fault}`,
    )
  const { method: own = method } = file
  if (own !== method)
    throw new UsageError(`--config: ${path} is of method ${JSON.stringify(own)}, not ${method}`)
  const settings = Object.entries(file).filter(([key]) => !ASIDE.includes(key))
  return { file: Object.fromEntries(settings), path, set }
}

/** Adds the file's preset, data and size to flags that have none. */
export const withFile = <F extends ConfigOptions>(flags: F, { file }: Overrides): F => ({
  ...flags,
  ...(typeof file?.['preset'] === 'string' && { preset: flags.preset ?? file['preset'] }),
  ...(typeof file?.['data'] === 'string' && { data: flags.data ?? file['data'] }),
  ...(typeof file?.['size'] === 'number' && { size: flags.size ?? file['size'] }),
})

/** A configuration, and the settings that differ from its preset's, such as a batch that was
 *  lowered for few images. */
export interface Settled {
  readonly config: TrainConfig
  readonly changes: Changes
}

/** Makes the configuration of a run: the preset's, changed by the file, then by the flags, then by
 *  --set. `withFile` makes `flags`. Throws UsageError with every wrong field and its rule. */
export function settled(
  method: string,
  flags: ConfigOptions,
  software: boolean,
  { file, path, set }: Overrides,
): Settled {
  const flagged = configFrom(method, flags, software)
  const presetFor = (...names: readonly string[]) => {
    const used = names.filter((name) => flags[name] !== undefined)
    const named = Object.fromEntries(used.map((name) => [name, flags[name]]))
    return configFrom(method, { ...named, preset: flagged.preset }, software)
  }
  const preset = presetFor('data', 'size')
  const fitting = presetFor('data', 'size', 'images') // few images lower its batch
  const whole = file === null ? flagged : merged(fitting, file)
  const changed: unknown = JSON.parse(JSON.stringify(whole)) // two views may share one object
  if (!isObject(changed)) throw new Error('a configuration is an object')
  if (file !== null) {
    putFlags(changed, flags, { fitting, flagged })
    refuseWrong(changed, `--config ${path}`)
  }
  let config: unknown = changed
  for (const text of set)
    config = withoutOthers(methodOf(method), config, assign(config as typeof changed, text))
  if (set.length > 0) refuseWrong(config, '--set')
  const { data: _data, ...changes } = changesBetween(preset, config)
  return { config: config as TrainConfig, changes } // checked above or made by configFrom
}

/** Paths of the settings whose options have another name. */
const paths: Readonly<Record<string, string>> = {
  knnEvery: 'knn.every',
  k: 'knn.k',
  knnTemperature: 'knn.temperature',
  knnBank: 'knn.bank',
  knnQueries: 'knn.queries',
  probe: 'knn.probe',
}

/** Puts the flags over the file: each flag's own setting, and the settings that follow from it. */
function putFlags(
  config: Record<string, unknown>,
  flags: ConfigOptions,
  { fitting, flagged }: { readonly fitting: TrainConfig; readonly flagged: TrainConfig },
) {
  const settings = leaves(flagged)
  const own = flagsOf(methodOf(flagged.method)).filter((flag) => isGiven(flag, flags[nameOf(flag)]))
  const others = Object.keys(flags).filter((name) => flags[name] !== undefined)
  const named = [...own.map(({ setting }) => setting), ...others.map((name) => paths[name] ?? name)]
  for (const [path, value] of settings) {
    const isNamed = named.some((name) => path === name || path.startsWith(`${name}.`))
    const follows = named.includes('size') && /^views(\.\d)?\.size$/.test(path)
    if (isNamed || follows) put(config, path, value)
  }
  for (const [path, { to }] of Object.entries(changesBetween(fitting, flagged)))
    put(config, path, to)
}

/** Throws UsageError with each wrong field and its rule. The message begins with `what`. */
function refuseWrong(config: unknown, what: string) {
  const wrong = wrongFields(config)
  if (wrong.length === 0) return
  const [first, ...others] = wrong.map(({ field, reason }) => `${field}: ${reason}`)
  if (others.length === 0) throw new UsageError(`${what}: ${first ?? ''}`)
  throw new UsageError(
    `${what}: ${wrong.length} fields are wrong\n  ${[first, ...others].join('\n  ')}`,
  )
}

/** Merges `over` into `base`, objects field by field. Other values replace the whole, and so does
 *  an object of another style or name. */
function merged(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over) || Array.isArray(base) || Array.isArray(over)) return over
  const isOther = ['style', 'name'].some(
    (kind) => over[kind] !== undefined && over[kind] !== base[kind],
  )
  if (isOther) return over
  const keys = [...new Set([...Object.keys(base), ...Object.keys(over)])]
  return Object.fromEntries(
    keys.map((key) => [key, key in over ? merged(base[key], over[key]) : base[key]]),
  )
}

/** Carries out one --set, and returns its path. Throws UsageError. */
function assign(config: Record<string, unknown>, text: string): string {
  const at = text.indexOf('=')
  const path = text.slice(0, Math.max(0, at)).trim()
  if (path === '') throw new UsageError(`--set: must be PATH=VALUE, as in epochs=10, got ${text}`)
  const [first = ''] = keysOf(path)
  const isDecided = Object.hasOwn(DECIDED, first)
  const decided = isDecided ? DECIDED[first] : ASIDE.includes(first) ? 'it is no setting' : null
  if (typeof decided === 'string') throw new UsageError(`--set: ${first} cannot be set; ${decided}`)
  const value = text.slice(at + 1).trim()
  const parsed = parse(value)
  const fault = isObject(parsed) && !Array.isArray(parsed) ? objectFault(value) : null
  if (fault !== null) throw new UsageError(`--set: ${path} must be valid; ${fault}`)
  put(config, path, parsed ?? (value === 'null' ? null : value))
  return path
}

/** Puts a value at a path. Throws UsageError if an object of the path is missing. */
function put(config: Record<string, unknown>, path: string, value: unknown) {
  const keys = keysOf(path)
  let node: Record<string, unknown> = config
  for (const [i, key] of keys.slice(0, -1).entries()) {
    const next = Object.hasOwn(node, key) ? node[key] : undefined
    if (!isObject(next)) {
      const near = nearestName(
        key,
        Object.keys(node).filter((name) => isObject(node[name])),
      )
      const whole = [...keys.slice(0, i), near ?? ''].join('.')
      const hint = near === undefined ? '' : `; did you mean ${whole}?`
      throw new UsageError(`--set: ${keys.slice(0, i + 1).join('.')} is not known${hint}`)
    }
    node = next
  }
  // `__proto__` becomes a field like any other, which no rule knows
  Object.defineProperty(node, keys.at(-1) ?? '', {
    ...{ value, writable: true, enumerable: true, configurable: true },
  })
}

/** Splits a path into keys: views[1].crop and views.1.crop are the same. */
const keysOf = (path: string): string[] => path.replaceAll(/\[(\d+)\]/g, '.$1').split('.')

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
