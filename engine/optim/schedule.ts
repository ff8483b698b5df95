// Learning-rate schedules: functions of a step or an epoch, whichever the caller counts.

import { checkOptions, checkValue, number, oneOf, scheduled } from '../../kernels/options.ts'

/** The learning rate at step (or epoch) t, counted from 0. */
export type Schedule = (t: number) => number

/** The schedule itself, or a constant one of a number. Throws TypeError for anything else. */
export function scheduleOf(owner: string, name: string, given: Schedule | number): Schedule {
  checkValue(owner, name, given, scheduled)
  return typeof given === 'number' ? () => given : given
}

/** Always `lr`. Throws TypeError, as all schedules do for what is no number. */
export const constant = (lr: number): Schedule => {
  checkValue('constant', 'lr', lr, number)
  return () => lr
}

/** `lr` multiplied by `gamma` at each milestone passed (torch.optim.lr_scheduler.MultiStepLR). */
export const multiStep = (lr: number, milestones: readonly number[], gamma = 0.1): Schedule => {
  checkValue('multiStep', 'lr', lr, number)
  checkValue('multiStep', 'milestones', milestones, {
    words: 'an array of numbers',
    fits: isNumbers,
  })
  checkValue('multiStep', 'gamma', gamma, number)
  return (t) => lr * gamma ** milestones.filter((milestone) => t >= milestone).length
}

const isNumbers = (v: unknown) => Array.isArray(v) && v.every(number.fits)

/** Half a cosine from `lr` at 0 down to `min` at `total`
 *  (torch.optim.lr_scheduler.CosineAnnealingLR). */
export const cosine = (lr: number, total: number, min = 0): Schedule => {
  for (const [name, value] of Object.entries({ lr, total, min }))
    checkValue('cosine', name, value, number)
  return (t) =>
    total > 0
      ? min + (lr - min) * 0.5 * (1 + Math.cos((Math.PI * Math.min(t, total)) / total))
      : min
}

/** A linear climb over `steps`, then `after`, whose own time begins when the climb ends. The climb
 *  goes to after(0): from 0 at t = 0 as google-research/simclr has it, or, with `first: 'nonzero'`,
 *  from after(0) / steps as AMDIM has it. */
export const warmup = (
  steps: number,
  after: Schedule | number,
  options: { readonly first?: 'zero' | 'nonzero' } = {},
): Schedule => {
  const { first = 'zero' } = checkOptions('warmup', options, { first: oneOf('zero', 'nonzero') })
  checkValue('warmup', 'steps', steps, number)
  const then = scheduleOf('warmup', 'after', after)
  return (t) =>
    t >= steps ? then(t - steps) : (then(0) * (t + (first === 'zero' ? 0 : 1))) / steps
}

/** A momentum that rises from `m` at 0 to 1 at `total` along half a cosine (MoCo v3, BYOL). */
export const cosineRamp = (m: number, total: number): Schedule => {
  for (const [name, value] of Object.entries({ m, total }))
    checkValue('cosineRamp', name, value, number)
  const distance = cosine(1 - m, total)
  return (t) => 1 - distance(t)
}
