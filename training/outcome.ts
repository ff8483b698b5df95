// The outcome of a training.

import { comparable } from './metrics.ts'
import type { TrainingStorage } from './storage.ts'

/** End of a training. Accuracies are in percent, null if not measured: `probe` is a linear probe's,
 *  others are kNN top-1. */
export interface Outcome {
  readonly finished: boolean
  readonly step: number
  readonly steps: number
  readonly loss: number | null
  readonly pixels: number | null
  readonly untrained: number | null
  readonly trained: number | null
  readonly probe: number | null
}

/** Returns the outcome of a run of `total` steps at its last checkpoint. Drops later metrics, whose
 *  steps will be made again. */
export async function savedOutcome(storage: TrainingStorage, total: number): Promise<Outcome> {
  const { checkpoint } = await storage.latest()
  await storage.keepMetrics(({ step }) => step <= (checkpoint?.step ?? -1))
  return outcomeOf(storage, { step: checkpoint?.step ?? 0, total, loss: null })
}

/** Returns the outcome of the run at `step` of `total`. `loss` is the last one, null if this
 *  process made no step. */
export async function outcomeOf(
  storage: TrainingStorage,
  {
    step,
    total,
    loss,
  }: { readonly step: number; readonly total: number; readonly loss: number | null },
): Promise<Outcome> {
  const all = await storage.metrics()
  const metrics = comparable(all)
  const last = (key: 'pixels' | 'untrained' | 'knn' | 'probe') =>
    metrics.findLast((metric) => metric[key] !== undefined)?.[key] ?? null
  return {
    ...{ finished: step >= total, step, steps: total },
    loss: loss ?? all.findLast((metric) => metric.loss !== undefined)?.loss ?? null,
    pixels: last('pixels'),
    untrained: last('untrained'),
    trained: last('knn'),
    probe: last('probe'),
  }
}
