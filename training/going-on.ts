// Records changes of the settings of a resumed training.

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

/** Runs `body`. Adds the changes of config.json, a likely reason, to the message of an Error. */
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
  /** Configuration of the resumed run. */
  readonly config: TrainConfig
  /** Checkpoint to resume from; null at the beginning. */
  readonly checkpoint: Checkpoint | null
  /** True if the checkpoint is at the end, so that no step uses a new rate. */
  readonly isFinished: boolean
}

/** Prints the changes since the checkpoint, made by flags or in config.json, and writes them to
 *  config.json's history and to the metrics. config.json then holds the settings of the resumed
 *  run. Drops earlier changes that no step has used. Resolves to the history. */
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
  const current = {
    ...settings,
    ...{ data, ...(dataFromRun !== undefined && { dataFromRun }), epochs },
    ...(!isFinished && { schedule: config.schedule }),
    ...(later.length > 0 && { history: later }),
  }
  if (JSON.stringify(current) !== JSON.stringify(storage.config)) await storage.writeConfig(current)
  if (isSettled) await forget(storage, step, changes)
  if (!isChanged) return later
  const since = checkpoint ? `the checkpoint of step ${step}` : 'the beginning'
  const words = `changed since ${since}: ${describeChanges(all)}`
  progress.note(words, { step, changed: all })
  if (Object.keys(changes).length === 0) return later // the path of the images changes no number
  if (!(await storage.metrics()).some(isOf(step, changes)))
    await storage.append({ step, changed: changes })
  return later
}

/** Drops the metrics of changes at this step that no step has used. */
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

/** Returns the settings that differ from the checkpoint's, or from config.json's if the checkpoint
 *  has none. Leaves out the schedule of a finished run. */
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
