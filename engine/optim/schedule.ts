// Learning-rate schedules: functions of a step, or of an epoch if the caller counts epochs.

import {
  checkOptions,
  checkValue,
  finiteNumber,
  notNegative,
  oneOf,
  rule,
  scheduled,
  share,
} from '../../kernels/options.ts'

/** The learning rate at step (or epoch) t, counted from 0. */
export type Schedule = (t: number) => number

/** Returns a schedule as it is, or makes a constant one of a number. Throws TypeError for anything
 *  else. */
export function scheduleOf(owner: string, name: string, given: Schedule | number): Schedule {
  checkValue(owner, name, given, scheduled)
  return typeof given === 'number' ? () => given : given
}

/** Stays at `lr`. Throws TypeError, as all schedules do, for anything but numbers. */
export const constant = (lr: number): Schedule => {
  checkValue('constant', 'lr', lr, finiteNumber)
  return () => lr
}

/** Multiplies `lr` by `gamma` at each milestone (torch.optim.lr_scheduler.MultiStepLR). */
export const multiStep = (lr: number, milestones: readonly number[], gamma = 0.1): Schedule => {
  checkValue('multiStep', 'lr', lr, finiteNumber)
  checkValue('multiStep', 'milestones', milestones, {
    words: 'an array of finite numbers in rising order',
    fits: isRising,
  })
  checkValue('multiStep', 'gamma', gamma, finiteNumber)
  return (t) => lr * gamma ** milestones.filter((milestone) => t >= milestone).length
}

const isRising = (v: unknown) =>
  Array.isArray(v) && v.every((at, i) => finiteNumber.fits(at) && (i === 0 || at >= v[i - 1]))

const length = rule('a finite number above 0', (v) => Number.isFinite(v) && Number(v) > 0)

/** Falls along half a cosine from `lr` at 0 to `min` at `total`
 *  (torch.optim.lr_scheduler.CosineAnnealingLR):  min + (lr - min) (1 + cos(π t / total)) / 2. */
export const cosine = (lr: number, total: number, min = 0): Schedule => {
  for (const [name, value] of Object.entries({ lr, min }))
    checkValue('cosine', name, value, finiteNumber)
  checkValue('cosine', 'total', total, length)
  return (t) => min + (lr - min) * 0.5 * (1 + Math.cos((Math.PI * Math.min(t, total)) / total))
}

/** Rises linearly, then follows another schedule:
 *
 *      t after(0) / steps   for t < steps,   then   after(t - steps)
 *
 *  t and `steps` count what the caller's t counts: steps or epochs. The first rate is 0, as in
 *  google-research/simclr. With `first: 'nonzero'` the rise is (t + 1) after(0) / steps, as in
 *  AMDIM. Throws TypeError. */
export const warmup = (
  steps: number,
  after: Schedule | number,
  options: { readonly first?: 'zero' | 'nonzero' } = {},
): Schedule => {
  const { first = 'zero' } = checkOptions('warmup', options, { first: oneOf('zero', 'nonzero') })
  checkValue('warmup', 'steps', steps, notNegative)
  const then = scheduleOf('warmup', 'after', after)
  return (t) =>
    t >= steps ? then(t - steps) : (then(0) * (t + (first === 'zero' ? 0 : 1))) / steps
}

/** Rises from `m` at 0 to 1 at `total` along half a cosine: the momentum of MoCo v3 and BYOL. */
export const cosineRamp = (m: number, total: number): Schedule => {
  checkValue('cosineRamp', 'm', m, share)
  checkValue('cosineRamp', 'total', total, length)
  const distance = cosine(1 - m, total)
  return (t) => 1 - distance(t)
}
