// Puts the options of a training over the settings of a preset.

import type { Method } from '../methods/entry.ts'
import type { NameOf } from '../methods/settings/batch.ts'
import { type Flag, chunkFlag, longOf, nameOf } from '../methods/settings/flags.ts'
import { fields } from '../methods/settings/rules.ts'
import type { MethodSettings } from '../methods/settings/settings.ts'
import { UsageError } from './choice.ts'
import { fitsAt, isKnownAt, ruleAt, unknownFields } from './schema-walk.ts'

/** Returns the options of a method, those of every method included. */
export const flagsOf = (method: Method): readonly Flag[] => [...method.flags, chunkFlag]

/** Returns the option of a setting: --bn-splits for bnSplits. */
export const flagOf =
  (method: Method): NameOf =>
  (setting) => {
    const flag = flagsOf(method).find((each) => each.setting === setting)
    return flag ? longOf(flag.option) : `--${setting}`
  }

/** Puts the options' values into the settings. Returns the settings, and the values by option.
 *  Throws UsageError for a word that the setting's rule does not allow. */
export function mergeFlags(
  method: Method,
  settings: MethodSettings,
  options: Readonly<Record<string, unknown>>,
): { readonly settings: MethodSettings; readonly given: Readonly<Record<string, unknown>> } {
  const given: Record<string, unknown> = {}
  let merged: unknown = settings
  for (const flag of flagsOf(method)) {
    const value = options[nameOf(flag)]
    if (!isGiven(flag, value)) continue
    if (flag.reading === 'word') checkWord(method, flag, value)
    given[nameOf(flag)] = value
    refuseUnknown(method, flag, merged)
    merged = withoutOthers(method, withValue(merged, flag.setting.split('.'), value), flag.setting)
  }
  return { settings: merged as MethodSettings, given } // the same fields, other values
}

/** Throws UsageError for a setting that the settings do not have, such as the width of a
 *  transformer. */
function refuseUnknown(method: Method, { option, setting }: Flag, settings: unknown) {
  const [rules, path] = [fields(method.rules), setting.split('.')]
  const [row] = path
  const { name } = Object(Object(settings)[row ?? '']) as { readonly name?: unknown }
  if (path.length === 2 && typeof name === 'string' && !isKnownAt(rules, settings, path))
    throw new UsageError(`${longOf(option)}: ${name} has no such setting; leave it out`)
}

/** Tells whether an option was given. The value of an absent --no-... option is true. */
export const isGiven = ({ option, reading }: Flag, value: unknown): boolean =>
  value !== undefined && !(reading === 'switch' && option.startsWith('--no-') && value === true)

/** Throws UsageError for a word that the setting's rule does not allow. */
function checkWord(method: Method, { option, setting }: Flag, value: unknown) {
  const [rules, path] = [fields(method.rules), setting.split('.')]
  if (fitsAt(rules, {}, path, value)) return
  throw new UsageError(
    `${longOf(option)}: must be ${ruleAt(rules, {}, path)}, got ${String(value)}`,
  )
}

/** Removes the settings of another row of a table. A new model.name removes the fields that the new
 *  encoder does not know. */
export function withoutOthers(method: Method, settings: unknown, path: string): unknown {
  if (!path.endsWith('.name')) return settings
  const parent = path.split('.').slice(0, -1)
  const odd = unknownFields(fields(method.rules), settings).filter(
    (unknown) =>
      unknown.path.length === parent.length + 1 &&
      parent.every((key, i) => key === unknown.path[i]),
  )
  return odd.reduce(
    (value, unknown) => withValue(value, unknown.path.map(String), undefined),
    settings,
  )
}

/** Replaces the field at a path, or removes it if `field` is undefined. Shares all other fields. */
export function withValue(
  value: unknown,
  [key, ...rest]: readonly string[],
  field: unknown,
): unknown {
  if (key === undefined) return field
  if (typeof value !== 'object' || value === null) return value
  const { [key]: old, ...others } = value as Readonly<Record<string, unknown>>
  const replaced = withValue(old, rest, field)
  return replaced === undefined ? others : { ...value, [key]: replaced }
}
