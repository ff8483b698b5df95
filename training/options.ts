// Options of a training, by name, over the settings of a preset.

import type { Method } from '../methods/entry.ts'
import { type NameOf } from '../methods/settings/batch.ts'
import { type Flag, chunkFlag, longOf, nameOf } from '../methods/settings/flags.ts'
import { fields } from '../methods/settings/rules.ts'
import type { MethodSettings } from '../methods/settings/settings.ts'
import { UsageError } from './choice.ts'
import { ruleAt, unknownFields } from './schema-walk.ts'

/** The options of a method, with those that every method has. */
export const flagsOf = (method: Method): readonly Flag[] => [...method.flags, chunkFlag]

/** Names a setting by the option that gives it: bnSplits is --bn-splits. */
export const flagOf =
  (method: Method): NameOf =>
  (setting) => {
    const flag = flagsOf(method).find((each) => each.setting === setting)
    return flag ? longOf(flag.option) : `--${setting}`
  }

/** The settings with the options' values in their places, and these values by the options' names.
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
    merged = withoutOthers(method, withValue(merged, flag.setting.split('.'), value), flag.setting)
  }
  return { settings: merged as MethodSettings, given } // the same fields, other values
}

/** Tells whether an option was given; a --no-... that was not has the value true. */
export const isGiven = ({ option, reading }: Flag, value: unknown): boolean =>
  value !== undefined && !(reading === 'switch' && option.startsWith('--no-') && value === true)

function checkWord(method: Method, { option, setting }: Flag, value: unknown) {
  const rule = ruleAt(fields(method.rules), {}, setting.split('.'))
  const words = rule.replace(/^one of /, '').split(', ')
  if (typeof value === 'string' && words.includes(value)) return
  throw new UsageError(`${longOf(option)}: must be ${rule}, got ${String(value)}`)
}

/** The settings without those that another row of a table had: of an encoder named anew, the fields
 *  that it does not know. */
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

/** The value with one field, at a path, replaced, or left out where it is undefined; all else is
 *  shared. */
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
