// config.json, checked as a whole: every wrong field is named with its rule, all of them at once.

import * as v from 'valibot'
import { checkMaps } from './amdim-config.ts'
import { checkSplits } from './batch.ts'
import { UsageError } from './choice.ts'
import { chunkOf } from './chunk.ts'
import type { AnyConfig } from './config.ts'
import { nearest } from './nearest.ts'
import { runSchemas } from './run-schema.ts'
import { ruleAt, unknownFields } from './schema-walk.ts'

/** A wrong field, by its path, and what is wrong with it. */
interface Wrong {
  readonly field: string
  readonly reason: string
}

/** The configuration that `input`, parsed JSON, is. Throws Error that begins with `path` and has a
 * line for every field that is wrong, missing or unknown. */
export function checkConfig(input: unknown, path: string): AnyConfig {
  const found = read(input)
  if ('config' in found) return found.config
  const { length } = found.wrong
  const lines = found.wrong.map(({ field, reason }) => `  ${field}: ${reason}`)
  throw new Error(
    `${path}: ${length === 1 ? '1 field is wrong' : `${length} fields are wrong`}; mend the file\n${lines.join('\n')}`,
  )
}

/** The fields of `input` that are wrong, missing or unknown, each with its rule. */
export function wrongFields(input: unknown): readonly Wrong[] {
  const found = read(input)
  return 'config' in found ? [] : found.wrong
}

function read(
  input: unknown,
): { readonly config: AnyConfig } | { readonly wrong: readonly Wrong[] } {
  const method: unknown =
    typeof input === 'object' && input !== null ? Reflect.get(input, 'method') : input
  const names = Object.keys(runSchemas)
  if (typeof method !== 'string' || !isMethod(method))
    return {
      wrong: [
        {
          field: 'method',
          reason: `must be one of ${names.join(', ')}, ${got(method)}${meant(method, names)}`,
        },
      ],
    }
  const schema: v.GenericSchema<unknown, AnyConfig> = runSchemas[method]
  const { success, output, issues = [] } = v.safeParse(schema, input)
  const wrong = issues
    .filter(({ expected }) => expected !== 'never') // of which valibot names one, and of each object
    .map((issue) => wrongOf(issue, schema, input))
  for (const { path, known } of unknownFields(schema, input))
    wrong.push({
      field: nameOf(path),
      reason: `is not known${meant(path.at(-1), known) || `; known are ${known.join(', ')}`}`,
    })
  // the rules between fields are looked at where the fields themselves are right
  const good = (field: string) =>
    !wrong.some((w) => w.field === field || w.field.startsWith(`${field}.`))
  for (const { fields, check } of relations)
    if (fields.every(good)) wrong.push(...brokenBy(() => check(input as AnyConfig))) // as far as `fields` reach
  return success && wrong.length === 0 ? { config: output } : { wrong }
}

const isMethod = (name: string): name is keyof typeof runSchemas => Object.hasOwn(runSchemas, name)

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

/** A path as people write it: views[1].crop.scale[0]. */
const nameOf = (path: readonly (string | number)[]) =>
  path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`
    return name === '' ? key : `${name}.${key}`
  }, '')

function meant(given: unknown, known: readonly string[]): string {
  const word = typeof given === 'string' ? nearest(given, known) : null
  return word === null ? '' : `; did you mean ${word}?`
}

/** A rule between fields, which throws UsageError in the words of the command line. */
interface Relation {
  readonly fields: readonly string[]
  readonly check: (config: AnyConfig) => void
}

const relations: readonly Relation[] = [
  {
    fields: ['batch', 'bnSplits'],
    check: (config) => config.method === 'moco' && checkSplits(config.bnSplits, config.batch),
  },
  {
    fields: ['batch', 'bnSplits', 'chunk', 'batchNorm'],
    check: (config) => chunkOf(config.chunk ?? undefined, config),
  },
  {
    fields: ['queue', 'head'],
    check(config) {
      if (config.method !== 'moco' || (config.queue === null) === (config.head.style === 'v3'))
        return
      const rule = `must be ${config.queue === null ? 'a number' : 'null'} with head.style ${config.head.style}`
      throw new UsageError(`--queue: ${rule}, got ${config.queue}`)
    },
  },
  {
    fields: ['size', 'model'],
    check: (config) =>
      config.method === 'amdim' && checkMaps({ size: config.size, ...config.model }),
  },
]

/** What a relation has to say, with fields in place of options. */
function brokenBy(check: () => unknown): Wrong[] {
  try {
    check()
    return []
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const [, field = '', reason = ''] = error.message.match(/^--([\w-]+): (.*)$/s) ?? []
    const camel = (text: string) =>
      text.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
    return [
      {
        field: camel(field),
        reason: reason.replace(/--([\w-]+)/g, (_, name: string) => camel(name)),
      },
    ]
  }
}

function got(value: unknown): string {
  if (value === undefined) return 'got none'
  const text = JSON.stringify(value)
  return `got ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}
