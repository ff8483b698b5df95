// Going on with a training: how a change of its settings is kept.

import type { TrainConfig } from './run-schema.ts'
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
import type { Progress } from './progress.ts'
import type { Checkpoint, Config, TrainingStorage } from './storage.ts'

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
  readonly config: TrainConfig
  /** What it goes on from; null at its beginning. */
  readonly checkpoint: Checkpoint | null
  /** Whether that is its end, so that no step uses another rate. */
  readonly isFinished: boolean
}

/** Says what has changed since the checkpoint, by flags or in config.json, and keeps it in
 * config.json's history and in the metrics; config.json then holds what the run goes on with. What
 * was changed before and no step has used is forgotten. Resolves to the history. */
export async function keepChanges(
  storage: TrainingStorage,
  progress: Progress,
  effective: Effective,
): Promise<readonly Change[]> {
  const { config, checkpoint, isFinished } = effective
  const { data, dataFromRun, epochs, history = [] } = config
  const step = checkpoint?.step ?? 0
  const isSettled = checkpoint !== null && holdsSettings(checkpoint.metadata)
  const changes = changesOf(storage.config, effective)
  const moved =
    storage.config['data'] === data ? {} : { data: { from: storage.config['data'], to: data } }
  const all = { ...moved, ...changes }
  const isChanged = Object.keys(all).length > 0
  const before = isSettled ? unused(history, step) : history
  const later = isChanged ? extended(before, { step, changes: all }) : before
  const { history: _, ...settings } = storage.config
  const wanted = {
    ...settings,
    ...{ data, ...(dataFromRun !== undefined && { dataFromRun }), epochs },
    ...(!isFinished && { schedule: config.schedule }),
    ...(later.length > 0 && { history: later }),
  }
  if (JSON.stringify(wanted) !== JSON.stringify(storage.config)) await storage.writeConfig(wanted)
  if (isSettled) await forget(storage, step, changes)
  if (!isChanged) return later
  const words = `changed since ${checkpoint ? `the checkpoint of step ${step}` : 'the beginning'}: ${describeChanges(all)}`
  progress.note(words, { step, changed: all })
  if (Object.keys(changes).length === 0) return later // where the images are changes no number
  if (!(await storage.metrics()).some(isOf(step, changes)))
    await storage.append({ step, changed: changes })
  return later
}

/** Drops the metrics that tell of changes at this step which no step has used. */
async function forget(storage: TrainingStorage, step: number, changes: Changes) {
  const isStale = (metric: Metric) =>
    metric.step === step &&
    metric.changed !== undefined &&
    metric.changed['measured'] === undefined &&
    !isOf(step, changes)(metric)
  if ((await storage.metrics()).some(isStale))
    await storage.keepMetrics((metric) => !isStale(metric))
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
