// Learning-rate schedules: functions of a step or an epoch, whichever the caller counts.

/** The learning rate at step (or epoch) t, counted from 0. */
export type Schedule = (t: number) => number

/** Always `lr`. */
export const constant =
  (lr: number): Schedule =>
  () =>
    lr

/** `lr` multiplied by `gamma` at each milestone passed (torch.optim.lr_scheduler.MultiStepLR). */
export const step =
  (lr: number, milestones: readonly number[], gamma = 0.1): Schedule =>
  (t) =>
    lr * gamma ** milestones.filter((milestone) => t >= milestone).length

/** Half a cosine from `lr` at 0 down to `min` at `total` (torch.optim.lr_scheduler.CosineAnnealingLR). */
export const cosine =
  (lr: number, total: number, min = 0): Schedule =>
  (t) =>
    total > 0 ? min + (lr - min) * 0.5 * (1 + Math.cos((Math.PI * Math.min(t, total)) / total)) : min

/** A linear climb over `steps`, then `after`, whose own time begins when the climb ends. The climb goes to after(0):
 *  from 0 at t = 0 as google-research/simclr has it, or, with `first: 'nonzero'`, from after(0) / steps as AMDIM has it. */
export const warmup =
  (
    steps: number,
    after: Schedule,
    { first = 'zero' }: { readonly first?: 'zero' | 'nonzero' } = {},
  ): Schedule =>
  (t) =>
    t >= steps ? after(t - steps) : (after(0) * (t + (first === 'zero' ? 0 : 1))) / steps

/** A momentum that rises from `m` at 0 to 1 at `total` along half a cosine (MoCo v3, BYOL). */
export const rising = (m: number, total: number): Schedule => {
  const distance = cosine(1 - m, total)
  return (t) => 1 - distance(t)
}
