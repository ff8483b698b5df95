// Checks a configuration: every field by its rule, then the rules between fields.

import * as v from 'valibot'
import { methodOf, methods } from '../methods/registry.ts'
import {
  type NameOf,
  type Normed,
  type Wrong as Broken,
  wrongChunk,
} from '../methods/settings/batch.ts'
import { wrongEncoder } from '../methods/settings/encoders.ts'
import type { TrainConfig } from './run-schema.ts'
import { describe, nearestName } from '../kernels/options.ts'
import { schemaOf } from './run-schema.ts'
import { ruleAt, unknownFields } from './schema-walk.ts'

/** A wrong field: its path, and the reason. */
interface Wrong {
  readonly field: string
  readonly reason: string
}

/** Checks parsed JSON, and returns it as a configuration. Throws Error that begins with `path` and
 *  has a line for every wrong, missing or unknown field. */
export function checkConfig(input: unknown, path: string, remedy = 'mend the file'): TrainConfig {
  const found = read(input)
  if ('config' in found) return found.config
  const { length } = found.wrong
  const title = length === 1 ? '1 field is wrong' : `${length} fields are wrong`
  const lines = found.wrong.map(({ field, reason }) => `  ${field}: ${reason}`)
  throw new Error(`${path}: ${title}; ${remedy}\n${lines.join('\n')}`)
}

/** Lists the wrong, missing and unknown fields of `input`, each with its rule. */
export function wrongFields(input: unknown): readonly Wrong[] {
  const found = read(input)
  return 'config' in found ? [] : found.wrong
}

function read(
  input: unknown,
): { readonly config: TrainConfig } | { readonly wrong: readonly Wrong[] } {
  const method: unknown =
    typeof input === 'object' && input !== null ? Reflect.get(input, 'method') : input
  const names = [...methods.keys()]
  if (typeof method !== 'string' || !methods.has(method))
    return {
      wrong: [
        {
          field: 'method',
          reason: `must be one of ${names.join(', ')}, ${got(method)}${meant(method, names)}`,
        },
      ],
    }
  const schema = schemaOf(methodOf(method))
  const { success, output, issues = [] } = v.safeParse(schema, input)
  const wrong = issues
    .filter(({ expected }) => expected !== 'never') // unknown fields, which follow
    .map((issue) => wrongOf(issue, schema, input))
  for (const { path, known } of unknownFields(schema, input))
    wrong.push({
      field: nameOf(path),
      reason: `is not known${meant(path.at(-1), known, path.slice(0, -1)) || `; known are ${known.join(', ')}`}`,
    })
  // the rules between fields need right fields
  if (success && wrong.length === 0)
    for (const { setting, reason } of wrongBetween(output, (name) => name))
      wrong.push({ field: setting, reason })
  return success && wrong.length === 0 ? { config: output } : { wrong }
}

function wrongOf(issue: v.BaseIssue<unknown>, schema: v.GenericSchema, input: unknown): Wrong {
  const path = (issue.path ?? []).map(({ key }) => key as string | number)
  const field = nameOf(path)
  const words = issue.type === 'variant' ? [...(issue.expected ?? '').matchAll(/"([^"]+)"/g)] : []
  const rule =
    words.length > 0 ? `one of ${words.map(([, word]) => word).join(', ')}` : issue.message
  const value: unknown = issue.path?.at(-1)?.value
  if (value !== undefined) return { field, reason: `must be ${rule}, ${got(value)}` }
  return {
    field,
    reason: `is missing; it must be ${words.length > 0 ? rule : ruleAt(schema, input, path)}`,
  }
}

/** Writes a path: views[1].crop.scale[0]. */
const nameOf = (path: readonly (string | number)[]) =>
  path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`
    return name === '' ? key : `${name}.${key}`
  }, '')

/** Returns '; did you mean ...?', or '' if no known name is near. The name stands below `path`. */
function meant(
  input: unknown,
  known: readonly string[],
  path: readonly (string | number)[] = [],
): string {
  const word = typeof input === 'string' ? nearestName(input, known) : undefined
  return word === undefined ? '' : `; did you mean ${nameOf([...path, word])}?`
}

/** Lists the rules between settings that a configuration breaks. `name` names a setting. */
export function wrongBetween(config: TrainConfig, name: NameOf): readonly Broken[] {
  const own = methodOf(config.method).check?.(config, name) ?? null
  const encoder = wrongEncoder(config)
  return [own, own ? null : wrongChunk(config as Normed, name), encoder].filter(
    (wrong) => wrong !== null,
  )
}

/** Returns a value as JSON, undefined if it cannot be written so. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function got(value: unknown): string {
  if (value === undefined) return 'got none'
  const text = jsonOf(value) ?? describe(value)
  return `got ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}
