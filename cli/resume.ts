// Going on with a run: what may be changed of it, and how a change is kept.

import type { Checkpoint } from './checkpoints.ts'
import type { AnyConfig, RunFlags } from './config.ts'
import { findSource, sourceOf } from './data-source.ts'
import {
  type Changes,
  changesBetween,
  changesSince,
  describeChanges,
  extended,
  holdsSettings,
} from './history.ts'
import type { Config } from './run-config.ts'
import type { Progress } from './progress.ts'
import type { RunFolder } from './run-folder.ts'

/** The flags that may stand beside --resume: where the images are now, and another rate or
 * length. */
export type ResumeFlags = Pick<RunFlags, 'data' | 'lr' | 'epochs'>

/** The configuration of the run in `dir`, as the flags change it, with the images where they are
 * found now. Throws Error when they are not. */
export function goingOn<C extends AnyConfig>(config: C, { data, lr, epochs }: ResumeFlags, dir: string): C {
  const { schedule } = config
  const isLonger = epochs !== undefined && epochs !== config.epochs
  // as of a run that begins: see scheduleOf in config.ts
  const first = isLonger && 'firstEpoch' in schedule ? { firstEpoch: 0 } : {}
  return {
    ...config,
    ...sourceOf(data ?? findSource(config, dir), dir),
    schedule: { ...schedule, lr: lr ?? schedule.lr, ...first },
    epochs: epochs ?? config.epochs,
  }
}

/** Runs `body`; what it throws also says what of config.json has changed, which may be the
 * reason. */
export async function explained(changes: Changes, body: () => Promise<void>) {
  try {
    await body()
  } catch (error) {
    if (Object.keys(changes).length === 0 || !(error instanceof Error)) throw error
    throw new Error(`${error.message}; changed since the checkpoint: ${describeChanges(changes)}`, {
      cause: error,
    })
  }
}

interface Effective {
  /** What the run goes on with. */
  readonly config: AnyConfig
  /** What it goes on from; null at its beginning. */
  readonly checkpoint: Checkpoint | null
}

/** Says what has changed since the checkpoint, by flags or in config.json, and keeps it in
 * config.json's history and in the metrics; config.json then holds what the run goes on with. */
export async function keepChanges(run: RunFolder, progress: Progress, { config, checkpoint }: Effective) {
  const { data, dataFromRun, epochs, schedule, history = [] } = config
  const step = checkpoint?.step ?? 0
  const changes = changesOf(run.config, { config, checkpoint })
  const moved = run.config['data'] === data ? {} : { data: { from: run.config['data'], to: data } }
  const all = { ...moved, ...changes }
  const isChanged = Object.keys(all).length > 0
  const later = isChanged ? extended(history, { step, changes: all }) : history
  const wanted = {
    ...run.config,
    ...{ data, ...(dataFromRun !== undefined && { dataFromRun }), epochs, schedule },
    ...(later.length > 0 && { history: later }),
  }
  if (JSON.stringify(wanted) !== JSON.stringify(run.config)) await run.writeConfig(wanted)
  if (!isChanged) return
  const words = `changed since ${checkpoint ? `the checkpoint of step ${step}` : 'the beginning'}: ${describeChanges(all)}`
  progress.note(words, { step, changed: all })
  if (Object.keys(changes).length === 0) return // where the images are changes no number
  const text = JSON.stringify(changes)
  const isKept = (await run.metrics()).some((m) => m.step === step && JSON.stringify(m['changed']) === text)
  if (!isKept) run.append({ step, changed: changes })
}

/** The settings that are others than the checkpoint's, or, where it does not say, than
 * config.json's. */
function changesOf(saved: Config, { config, checkpoint }: Effective): Changes {
  if (checkpoint && holdsSettings(checkpoint.metadata)) return changesSince(checkpoint.metadata, config)
  const { epochs, schedule } = config
  return changesBetween({ epochs: saved['epochs'], schedule: saved['schedule'] }, { epochs, schedule })
}
