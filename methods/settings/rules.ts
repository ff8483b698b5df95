// The rules of settings. The words of each complete the sentence "must be ...".

import * as v from 'valibot'
import { LEAST_TEMPERATURE } from '../../kernels/limits.ts'

const LEAST = LEAST_TEMPERATURE // f32's least normal number; devices may read a smaller one as 0
const MOST = (2 - 2 ** -23) * 2 ** 127 // f32's largest number
const [least, most] = ['1.2e-38', '3.4e38'] // the same in words

const number = (rule: string, holds: (value: number) => boolean) =>
  v.pipe(
    v.number(rule),
    v.check((value) => Number.isFinite(value) && holds(value), rule),
  )

/** A whole number from `low` to `high`. */
export const integer = (low: number, high = Infinity) =>
  number(
    `a whole number ${high === Infinity ? `from ${low} on` : `from ${low} to ${high}`}`,
    (value) => Number.isSafeInteger(value) && value >= low && value <= high,
  )

/** A whole number from `low` on, or null. */
export const integerOrNull = (low: number) =>
  v.nullable(
    number(
      `a whole number from ${low} on, or null`,
      (value) => Number.isSafeInteger(value) && value >= low,
    ),
  )

/** A number above 0. f32 holds the number and its reciprocal. */
export const positiveNumber = number(
  `a number from ${least} to ${most}`,
  (value) => value >= LEAST && value <= MOST,
)

/** A divisor. f32 holds the number and quotients by it. */
export const divisor = number(
  `a number from ${least} to 8.5e37`,
  (value) => value >= LEAST && value <= 1 / LEAST,
)

/** A number from 0 to f32's largest. */
export const nonNegative = number(
  `a number from 0 to ${most}`,
  (value) => value >= 0 && value <= MOST,
)

/** A number in f32's range. */
export const finite = number(
  `a number from -${most} to ${most}`,
  (value) => Math.abs(value) <= MOST,
)

/** A number from `low` to `high`. */
export const within = (low: number, high: number) =>
  number(`a number from ${low} to ${high}`, (value) => value >= low && value <= high)

/** A share or a probability. */
export const fraction = within(0, 1)

/** A share below 1. */
export const belowOne = number('a number from 0 to below 1', (value) => value >= 0 && value < 1)

export const bool = v.boolean('true or false')
export const anyText = v.string('text')

/** One of some words or numbers. */
export const wordOf = <const T extends readonly (string | number)[]>(...options: T) =>
  v.picklist(options, options.length === 1 ? String(options[0]) : `one of ${options.join(', ')}`)

/** An object with exactly these fields. */
export const fields = <const E extends v.ObjectEntries>(entries: E) =>
  v.strictObject(entries, 'an object')

/** A range [low, high]: two numbers above 0 and up to `high`, the smaller first. */
export const range = (high = MOST) => {
  const rule = `[low, high] with ${least} <= low <= high <= ${high < MOST ? high : most}`
  return v.pipe(
    v.strictTuple([v.number(rule), v.number(rule)], rule),
    v.check(([a, b]) => a >= LEAST && a <= b && b <= high, rule),
    v.readonly(),
  )
}

/** Three numbers: red, green and blue. */
export const rgb = <T extends v.GenericSchema<unknown, number>>(each: T) =>
  v.pipe(v.strictTuple([each, each, each], 'three numbers'), v.readonly())
