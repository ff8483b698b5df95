// The learning-rate schedules by name, each with its rules and its maker.

import * as v from 'valibot'
import { type Schedule, constant, cosine, multiStep, warmup } from '../../engine/optim/schedule.ts'
import { nonNegative, wordOf, positiveNumber } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Settings of a schedule. */
export interface ScheduleSettings {
  readonly name: string
  /** Highest rate, scaled by the batch already. */
  readonly lr: number
  /** Epochs of a linear warm-up before the schedule begins. */
  readonly warmupEpochs: number
  /** Number of the first epoch of 'cosine-by-epoch'; 0 by default. */
  readonly firstEpoch?: 0 | 1
}

/** The length of a training. */
export interface Length {
  readonly epochs: number
  readonly stepsPerEpoch: number
}

/** A row of the table. */
export interface ScheduleRow {
  /** Rules of its own settings besides `name`, `lr` and `warmupEpochs`. */
  readonly rules: v.ObjectEntries
  /** Makes the rate of each step after the warm-up. `rest` is the number of these steps. */
  readonly make: (
    settings: ScheduleSettings,
    length: Length & { readonly rest: number },
  ) => Schedule
}

const rules: v.ObjectEntries = {}

/** The schedules by name. A new row is a new value of `schedule.name`. */
export const schedules: Table<ScheduleRow> = new Map<string, ScheduleRow>([
  ['constant', { rules, make: ({ lr }) => constant(lr) }],
  ['cosine', { rules, make: ({ lr }, { rest }) => cosine(lr, Math.max(1, rest)) }],
  [
    // constant within an epoch
    'cosine-by-epoch',
    {
      rules,
      make({ lr, firstEpoch = 0 }, { epochs, stepsPerEpoch }) {
        const byEpoch = cosine(lr, epochs)
        return (t) => byEpoch(Math.floor(t / stepsPerEpoch) + firstEpoch)
      },
    },
  ],
  [
    // divides the rate by 10 after 0.6 and after 0.8 of the epochs
    'step',
    {
      rules,
      make({ lr }, { epochs, stepsPerEpoch }) {
        const total = epochs * stepsPerEpoch
        return multiStep(lr, [0.6 * total, 0.8 * total])
      },
    },
  ],
])

/** The rule of a schedule's settings. */
export const scheduleFields = rowRule<ScheduleSettings>(schedules, {
  lr: positiveNumber,
  warmupEpochs: nonNegative,
  firstEpoch: v.exactOptional(wordOf(0, 1)),
})

/** Makes the learning rate of each step: the warm-up, then the schedule of the settings. */
export function learningRateOf(
  { schedule, epochs }: { readonly schedule: ScheduleSettings; readonly epochs: number },
  stepsPerEpoch: number,
): Schedule {
  const climb = schedule.warmupEpochs * stepsPerEpoch
  const rest = epochs * stepsPerEpoch - climb
  const { make } = rowOf('schedule.name', schedules, schedule.name)
  const after = make(schedule, { epochs, stepsPerEpoch, rest })
  return climb > 0 ? warmup(climb, after) : after
}
