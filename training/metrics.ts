// The lines of metrics.jsonl.

import * as v from 'valibot'
import { nonNegative, integer } from '../methods/settings/rules.ts'
import { isObject, parse } from './json.ts'
import { ruleAt } from './schema-walk.ts'

/** One line of metrics.jsonl. `step` counts the finished steps. Fields that were not measured are
 *  absent. */
export interface Metric {
  readonly step: number
  /** Finished epochs; a fraction within an epoch. */
  readonly epoch?: number
  readonly loss?: number
  /** Terms of the loss by name; null for a value that is not finite. */
  readonly terms?: Readonly<Record<string, number | null>>
  /** Learning rate of the step. */
  readonly lr?: number
  /** kNN accuracies in percent. The line of step 0 has those of the untrained encoder and of raw
   *  pixels. */
  readonly knn?: number
  readonly untrained?: number
  readonly pixels?: number
  /** Accuracies of a linear probe in percent, of the encoder and of the untrained one. */
  readonly probe?: number
  readonly untrainedProbe?: number
  /** The collapse meter: the spread of unit features, 1 when even, 0 when all are one direction. */
  readonly spread?: number
  /** Mean squared distance between the unit features of two views of an image. */
  readonly alignment?: number
  /** Wang and Isola's uniformity of the features; 0 when all are one direction. */
  readonly uniformity?: number
  /** Changed settings by path, or the changed digest of the measurements (`measured`), as { from,
   *  to }. */
  readonly changed?: Readonly<Record<string, unknown>>
  readonly [other: string]: unknown
}

const number = v.pipe(v.number('a number'), v.finite('a number'))
const optional = v.exactOptional(number)

const schema = v.looseObject({
  step: integer(0),
  epoch: v.exactOptional(nonNegative),
  loss: v.exactOptional(number),
  terms: v.exactOptional(v.record(v.string(), v.nullable(number), 'an object')),
  lr: v.exactOptional(number),
  ...{ knn: optional, untrained: optional, pixels: optional },
  ...{ probe: optional, untrainedProbe: optional },
  ...{ spread: optional, alignment: optional, uniformity: optional },
  skipped: v.exactOptional(v.boolean('true or false')),
  changed: v.exactOptional(v.record(v.string(), v.unknown(), 'an object')),
})

/** Parses line `at` of the file at `path`. Throws Error with the line, the field and its rule. */
export function metricOf(line: string, path: string, at: number): Metric {
  const value = parse(line)
  const remedy = 'to go on without it'
  if (!isObject(value))
    throw new Error(`${path}: line ${at} is damaged; delete that line ${remedy}`)
  return checkMetric(value, `${path}: line ${at}`, `mend the line, or delete it ${remedy}`)
}

/** Checks a metric. Throws Error that begins with `where`, with the field and its rule. */
export function checkMetric(value: object, where: string, remedy: string): Metric {
  const { success, output, issues } = v.safeParse(schema, value)
  if (success) return { ...value, step: output.step } // keeps the order of the fields
  const [{ path: keys = [], message }] = issues
  const field = keys.map(({ key }) => String(key)).join('.')
  const found: unknown = keys.at(-1)?.value
  const wrong =
    found === undefined
      ? `is missing; it must be ${ruleAt(schema, value, ['step'])}`
      : `must be ${message}, got ${JSON.stringify(found)}`
  throw new Error(`${where}: ${field} ${wrong}; ${remedy}`)
}

/** Parses the text of metrics.jsonl, without a last line that was cut short. Throws like
 *  `metricOf`. */
export function metricsIn(text: string, path: string): Metric[] {
  const lines = text.split('\n')
  lines.pop() // '', or a line that was cut short
  return lines.map((line, i) => metricOf(line, path, i + 1))
}

/** Writes metrics as lines of metrics.jsonl. */
export const metricLines = (metrics: readonly Metric[]) =>
  metrics.map((metric) => `${JSON.stringify(metric)}\n`).join('')

/** Returns the metrics whose accuracies compare with present ones: those after the last change of
 *  the measurements. */
export function comparable(metrics: readonly Metric[]): readonly Metric[] {
  return metrics.slice(
    1 + metrics.findLastIndex(({ changed }) => changed?.['measured'] !== undefined),
  )
}

/** Returns the digest of the measurements after their last change, null without a change. */
export function lastMeasured(metrics: readonly Metric[]): string | null {
  const last = metrics.findLast(({ changed }) => changed?.['measured'] !== undefined)
  const change = last?.changed?.['measured']
  return isObject(change) && typeof change['to'] === 'string' ? change['to'] : null
}
