// The temperature of a loss as a setting: a number, or a fall or rise over the training.

import * as v from 'valibot'
import { type Schedule, cosine } from '../../engine/optim/schedule.ts'
import { fields, positiveNumber } from './rules.ts'

/** A temperature that goes along half a cosine, from the first step to the end of the training. */
interface Ramp {
  readonly from: number
  readonly to: number
}

/** The temperature of a loss. */
export type TemperatureSettings = number | Ramp

const ramp = fields({ from: positiveNumber, to: positiveNumber })

/** The rule of the setting. */
export const temperatureFields = v.lazy((input): v.GenericSchema<unknown, TemperatureSettings> =>
  typeof input === 'object' && input !== null ? ramp : positiveNumber,
)

/** Makes the temperature of each step. */
export const temperatureBy = (
  { temperature, epochs }: { readonly temperature: TemperatureSettings; readonly epochs: number },
  stepsPerEpoch: number,
): number | Schedule =>
  typeof temperature === 'number'
    ? temperature
    : cosine(temperature.from, epochs * stepsPerEpoch, temperature.to)

/** Returns the temperature of the first step. */
export const firstTemperature = (temperature: TemperatureSettings): number =>
  typeof temperature === 'number' ? temperature : temperature.from
