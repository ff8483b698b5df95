// Going on with a run: what may be changed of it.

import type { TrainConfig } from '../training/run-schema.ts'
import type { ConfigOptions } from '../training/config.ts'
import { findSource, sourceOf } from './data-source.ts'

/** The flags that may stand beside --resume: where the images are now, and another rate or
 * length. */
export type ResumeFlags = Pick<ConfigOptions, 'data' | 'lr' | 'epochs'>

/** The configuration of the run in `dir`, as the flags change it, with the images where they are
 * found now. Throws Error when they are not. */
export function goingOn(
  config: TrainConfig,
  { data, lr, epochs }: ResumeFlags,
  dir: string,
): TrainConfig {
  const { schedule } = config
  const isLonger = epochs !== undefined && epochs !== config.epochs
  // as of a run that begins: see `lengthened` in training/config.ts
  const first = isLonger && 'firstEpoch' in schedule ? ({ firstEpoch: 0 } as const) : {}
  return {
    ...config,
    ...sourceOf(data ?? findSource(config, dir), dir),
    schedule: { ...schedule, lr: lr ?? schedule.lr, ...first },
    epochs: epochs ?? config.epochs,
  }
}
