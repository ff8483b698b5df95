// Changes of a resumed run: the path of its images, the learning rate, the length.

import type { TrainConfig } from '../training/run-schema.ts'
import type { ConfigOptions } from '../training/config.ts'
import { findSource, sourceOf } from './data-source.ts'

/** Flags that --resume allows: another path of the images, another rate, another length. */
export type ResumeFlags = Pick<ConfigOptions, 'data' | 'lr' | 'epochs'>

/** Returns the configuration of the run in `dir`, changed by the flags, with the path where its
 *  images are now. Throws Error if they are not found. */
export function goingOn(
  config: TrainConfig,
  { data, lr, epochs }: ResumeFlags,
  dir: string,
): TrainConfig {
  const { schedule } = config
  const isLonger = epochs !== undefined && epochs !== config.epochs
  // as in a new run: see `lengthened` in training/config.ts
  const first = isLonger && 'firstEpoch' in schedule ? ({ firstEpoch: 0 } as const) : {}
  return {
    ...config,
    ...sourceOf(data ?? findSource(config, dir), dir),
    schedule: { ...schedule, lr: lr ?? schedule.lr, ...first },
    epochs: epochs ?? config.epochs,
  }
}
