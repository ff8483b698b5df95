// The flags that one method has and another has not.

import { evenly } from '../methods/chunks.ts'
import { UsageError, oneOf } from './choice.ts'
import type { MethodConfig } from './config.ts'

export interface MethodFlags {
  readonly chunk?: number
  readonly batchNorm?: string
  readonly queue?: number
  readonly momentum?: number
  readonly symmetric?: boolean
  readonly bnSplits?: number
  readonly shuffle?: boolean
  readonly negatives?: number
  readonly loss?: string
}

/** The settings as the flags change them. Throws UsageError for a flag that they have no use for. */
export function mergeMethod(settings: MethodConfig, flags: MethodFlags): MethodConfig {
  if (settings.method === 'simclr') {
    const batchNorm = oneOf('--batch-norm', flags.batchNorm, ['per-view', 'joint']) ?? settings.batchNorm
    return { ...settings, batchNorm, chunk: chunkOf(flags.chunk, settings.batch, batchNorm) }
  }
  if (settings.method === 'memory-bank')
    return {
      ...settings,
      negatives: flags.negatives ?? settings.negatives,
      loss: oneOf('--loss', flags.loss, ['infonce', 'nce']) ?? settings.loss,
      momentum: flags.momentum ?? settings.momentum,
    }
  return settings.method === 'moco' ? mergeMoco(settings, flags) : settings
}

type MocoConfig = Extract<MethodConfig, { readonly method: 'moco' }>

function mergeMoco(settings: MocoConfig, flags: MethodFlags): MocoConfig {
  const { queue, momentum, symmetric, bnSplits } = settings
  const ofQueue = { '--queue': flags.queue, '--bn-splits': flags.bnSplits, '--symmetric': flags.symmetric }
  for (const [flag, value] of Object.entries(ofQueue))
    if (queue === null && value !== undefined)
      throw new UsageError(
        `${flag}: MoCo v3 has no queue, its loss is symmetric and its batch norm over the batch`,
      )
  const splits = flags.bnSplits ?? bnSplits
  return {
    ...settings,
    queue: flags.queue ?? queue,
    momentum: { ...momentum, start: flags.momentum ?? momentum.start },
    symmetric: flags.symmetric ?? symmetric,
    bnSplits: splits,
    shuffle: (flags.shuffle ?? true) && splits > 1,
  }
}

/** --chunk, unless it leaves an image alone, which has no statistics in the projection head's batch norm. */
function chunkOf(chunk: number | undefined, batch: number, batchNorm: 'per-view' | 'joint'): number | null {
  if (batch < 2)
    throw new UsageError(
      `--batch: must be 2 or more, as images are compared with the others of their batch, got ${batch}`,
    )
  if (chunk === undefined) return null
  const fewest = Math.min(...evenly(batch, chunk).map(([start, end]) => end - start))
  if (fewest < 2 && batchNorm === 'per-view')
    throw new UsageError(
      `--chunk: batch norm per view needs 2 images or more at a time, got 1 of a batch of ${batch} in chunks of ${chunk}`,
    )
  return chunk
}
