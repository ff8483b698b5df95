// The learning-rate schedules that a setting may name, each with its rules and what it makes.

import * as v from 'valibot'
import { type Schedule, constant, cosine, multiStep, warmup } from '../../engine/optim/schedule.ts'
import { nonNegative, wordOf, positiveNumber } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Settings of a schedule. */
export interface ScheduleSettings {
  readonly name: string
  /** The rate that is used, already scaled by the batch. */
  readonly lr: number
  /** Epochs of a linear climb before the schedule begins. */
  readonly warmupEpochs: number
  /** 'cosine-by-epoch': the number of the first epoch; 0 by default. */
  readonly firstEpoch?: 0 | 1
}

/** The length of a training. */
export interface Length {
  readonly epochs: number
  readonly stepsPerEpoch: number
}

/** A row of the table. */
export interface ScheduleRow {
  /** Rules of its own settings, beside `name`, `lr` and `warmupEpochs`. */
  readonly rules: v.ObjectEntries
  /** The rate at each step after the climb; `rest` is how many there are. */
  readonly make: (
    settings: ScheduleSettings,
    length: Length & { readonly rest: number },
  ) => Schedule
}

const rules: v.ObjectEntries = {}

/** The schedules by name. Add a row and `schedule.name` takes it. */
export const schedules: Table<ScheduleRow> = new Map<string, ScheduleRow>([
  ['constant', { rules, make: ({ lr }) => constant(lr) }],
  ['cosine', { rules, make: ({ lr }, { rest }) => cosine(lr, Math.max(1, rest)) }],
  [
    // the rate stays the same within an epoch
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
    // a tenth of the rate from 0.6 and again from 0.8 of the epochs on
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

/** The learning rate at each step: the climb, then the schedule that the settings name. */
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
