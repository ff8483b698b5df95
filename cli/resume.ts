// Going on with a run: what may be changed of it, and how a change is kept.

import type { Checkpoint } from './checkpoints.ts'
import type { AnyConfig, RunFlags } from './config.ts'
import { findSource, sourceOf } from './data-source.ts'
import {
  type Change,
  type Changes,
  changesBetween,
  changesSince,
  describeChanges,
  extended,
  holdsSettings,
  unused,
} from './history.ts'
import type { Metric } from './metrics.ts'
import type { Config } from './run-config.ts'
import type { Progress } from './progress.ts'
import type { RunFolder } from './run-folder.ts'

/** The flags that may stand beside --resume: where the images are now, and another rate or
 * length. */
export type ResumeFlags = Pick<RunFlags, 'data' | 'lr' | 'epochs'>

/** The configuration of the run in `dir`, as the flags change it, with the images where they are
 * found now. Throws Error when they are not. */
export function goingOn<C extends AnyConfig>(
  config: C,
  { data, lr, epochs }: ResumeFlags,
  dir: string,
): C {
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
  /** Whether that is its end, so that no step uses another rate. */
  readonly isFinished: boolean
}

/** Says what has changed since the checkpoint, by flags or in config.json, and keeps it in
 * config.json's history and in the metrics; config.json then holds what the run goes on with. What
 * was changed before and no step has used is forgotten. Resolves to the history. */
export async function keepChanges(
  run: RunFolder,
  progress: Progress,
  effective: Effective,
): Promise<readonly Change[]> {
  const { config, checkpoint, isFinished } = effective
  const { data, dataFromRun, epochs, history = [] } = config
  const step = checkpoint?.step ?? 0
  const isSettled = checkpoint !== null && holdsSettings(checkpoint.metadata)
  const changes = changesOf(run.config, effective)
  const moved = run.config['data'] === data ? {} : { data: { from: run.config['data'], to: data } }
  const all = { ...moved, ...changes }
  const isChanged = Object.keys(all).length > 0
  const before = isSettled ? unused(history, step) : history
  const later = isChanged ? extended(before, { step, changes: all }) : before
  const { history: _, ...settings } = run.config
  const wanted = {
    ...settings,
    ...{ data, ...(dataFromRun !== undefined && { dataFromRun }), epochs },
    ...(!isFinished && { schedule: config.schedule }),
    ...(later.length > 0 && { history: later }),
  }
  if (JSON.stringify(wanted) !== JSON.stringify(run.config)) await run.writeConfig(wanted)
  if (isSettled) await forget(run, step, changes)
  if (!isChanged) return later
  const words = `changed since ${checkpoint ? `the checkpoint of step ${step}` : 'the beginning'}: ${describeChanges(all)}`
  progress.note(words, { step, changed: all })
  if (Object.keys(changes).length === 0) return later // where the images are changes no number
  if (!(await run.metrics()).some(isOf(step, changes))) run.append({ step, changed: changes })
  return later
}

/** Drops the metrics that tell of changes at this step which no step has used. */
async function forget(run: RunFolder, step: number, changes: Changes) {
  const isStale = (metric: Metric) =>
    metric.step === step &&
    metric.changed !== undefined &&
    metric.changed['measured'] === undefined &&
    !isOf(step, changes)(metric)
  if ((await run.metrics()).some(isStale)) await run.keepMetrics((metric) => !isStale(metric))
}

const isOf = (step: number, changes: Changes) => (metric: Metric) =>
  metric.step === step && JSON.stringify(metric.changed) === JSON.stringify(changes)

/** The settings that are others than the checkpoint's, or, where it does not say, than
 * config.json's; of a finished run without the schedule. */
function changesOf(saved: Config, { config, checkpoint, isFinished }: Effective): Changes {
  const { epochs, schedule } = config
  const changes =
    checkpoint && holdsSettings(checkpoint.metadata)
      ? changesSince(checkpoint.metadata, config)
      : changesBetween(
          { epochs: saved['epochs'], schedule: saved['schedule'] },
          { epochs, schedule },
        )
  const used = Object.entries(changes).filter(
    ([path]) => !isFinished || !path.startsWith('schedule.'),
  )
  return Object.fromEntries(used)
}
