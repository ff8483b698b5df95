// The lines of metrics.jsonl.

import * as v from 'valibot'
import { nonNegative, integer } from '../methods/settings/rules.ts'
import { isObject, parse } from './json.ts'
import { ruleAt } from './schema-walk.ts'

/** One line of metrics.jsonl. `step` counts the optimizer steps done; what was not measured then is
 *  left out. */
export interface Metric {
  readonly step: number
  /** Epochs done, in fractions within one. */
  readonly epoch?: number
  readonly loss?: number
  /** What the loss is made of, and what else is minimised, by name; null for what is not finite. */
  readonly terms?: Readonly<Record<string, number | null>>
  /** Learning rate of the step. */
  readonly lr?: number
  /** kNN accuracies in percent: the encoder's, and, on the line of step 0, the untrained encoder's
   *  and raw pixels'. */
  readonly knn?: number
  readonly untrained?: number
  readonly pixels?: number
  /** Settings, or `measured`, the digest of what is measured, by name: what they were and are. */
  readonly changed?: Readonly<Record<string, unknown>>
  readonly [other: string]: unknown
}

const number = v.pipe(v.number('a number'), v.finite('a number'))
const percent = v.exactOptional(number)

const schema = v.looseObject({
  step: integer(0),
  epoch: v.exactOptional(nonNegative),
  loss: v.exactOptional(number),
  terms: v.exactOptional(v.record(v.string(), v.nullable(number), 'an object')),
  lr: v.exactOptional(number),
  ...{ knn: percent, untrained: percent, pixels: percent },
  skipped: v.exactOptional(v.boolean('true or false')),
  changed: v.exactOptional(v.record(v.string(), v.unknown(), 'an object')),
})

/** The metric that line `place` of the file at `path` holds. Throws Error naming the line, the
 *  field and its rule. */
export function metricOf(line: string, path: string, place: number): Metric {
  const value = parse(line)
  const remedy = 'to go on without it'
  if (!isObject(value))
    throw new Error(`${path}: line ${place} is damaged; delete that line ${remedy}`)
  const { success, output, issues } = v.safeParse(schema, value)
  if (success) return { ...value, step: output.step } // with its fields in their order
  const [{ path: keys = [], message }] = issues
  const field = keys.map(({ key }) => String(key)).join('.')
  const found: unknown = keys.at(-1)?.value
  const wrong =
    found === undefined
      ? `is missing; it must be ${ruleAt(schema, value, ['step'])}`
      : `must be ${message}, got ${JSON.stringify(found)}`
  throw new Error(
    `${path}: line ${place}: ${field} ${wrong}; mend the line, or delete it ${remedy}`,
  )
}

/** Those of a run's metrics whose accuracies can be compared with what is measured now: all, or
 *  those behind the last change of what is measured. */
export function comparable(metrics: readonly Metric[]): readonly Metric[] {
  return metrics.slice(
    1 + metrics.findLastIndex(({ changed }) => changed?.['measured'] !== undefined),
  )
}

/** The digest of what the last of the metrics were measured on; null where they do not say. */
export function lastMeasured(metrics: readonly Metric[]): string | null {
  const last = metrics.findLast(({ changed }) => changed?.['measured'] !== undefined)
  const change = last?.changed?.['measured']
  return isObject(change) && typeof change['to'] === 'string' ? change['to'] : null
}
