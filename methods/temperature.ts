// The temperature of a method: a number, a schedule, or a variable that learns.

import type { Scalar, Variable } from '../kernels/op.ts'
import { LEAST_TEMPERATURE } from '../kernels/limits.ts'
import { checkValue, isTensor, positive, rule, variable } from '../kernels/options.ts'
import type { Schedule } from '../engine/optim/schedule.ts'

/** A temperature above 0: a number, a function of the step, or a variable [], which the optimizer
 *  must have among its parameters. */
export type MethodTemperature = number | Schedule | Variable

/** The rule of a method's option. */
export const temperatureRule = rule(
  'a number above 0, a function of the step, t => number, or a variable []',
  (v) =>
    typeof v === 'function' ||
    positive.fits(v) ||
    (variable.fits(v) && isTensor(v) && v.shape.length === 0),
)

const value = rule(
  'a number of at least 2^-126 (about 1.2e-38)',
  (v) => Number.isFinite(v) && Number(v) >= LEAST_TEMPERATURE,
)

/** Returns the temperature as losses take it. At a step whose value is no temperature, a function
 *  throws TypeError in the name of `method`. */
export function temperatureOf(
  method: string,
  given: MethodTemperature,
  t: () => number,
): Scalar | Variable {
  if (typeof given !== 'function') return given
  return () => checkValue(method, 'temperature', given(t()), value)
}

/** Returns the part of a method that learns with the temperature: itself, by name, or nothing. */
export const learned = (given: MethodTemperature): { readonly temperature?: Variable } =>
  typeof given === 'object' ? { temperature: given } : {}
