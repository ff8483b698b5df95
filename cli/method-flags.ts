// The flags that one method has and another has not.

import { type BatchFlags, checkBatch, checkSplits, fittingSplits } from './batch.ts'
import { chunkOf } from './chunk.ts'
import { UsageError, oneOf } from './choice.ts'
import type { MethodConfig } from './config.ts'

export interface MethodFlags extends BatchFlags {
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

/** The settings as the flags change them. Throws UsageError for a flag that they have no use
 *  for. */
export function mergeMethod(settings: MethodConfig, flags: MethodFlags): MethodConfig {
  const merged = mergeOwn(settings, flags)
  const fromElsewhere =
    merged.method === 'memory-bank' || (merged.method === 'moco' && merged.queue !== null)
  checkBatch(merged.batch, { compared: !fromElsewhere })
  if (merged.method === 'moco') checkSplits(merged.bnSplits, merged.batch)
  return { ...merged, chunk: chunkOf(flags.chunk, merged) }
}

function mergeOwn(settings: MethodConfig, flags: MethodFlags): MethodConfig {
  if (settings.method === 'simclr') {
    const batchNorm =
      oneOf('--batch-norm', flags.batchNorm, ['per-view', 'joint']) ?? settings.batchNorm
    return { ...settings, batchNorm }
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
  const ofQueue = {
    '--queue': flags.queue,
    '--bn-splits': flags.bnSplits,
    '--symmetric': flags.symmetric,
    '--no-shuffle': flags.shuffle === false ? true : undefined, // commander always gives it
  }
  for (const [flag, value] of Object.entries(ofQueue))
    if (queue === null && value !== undefined)
      throw new UsageError(
        `${flag}: MoCo v3 has no queue, its loss is symmetric and its batch norm over the batch`,
      )
  const fitting = flags.batch === undefined ? fittingSplits(bnSplits, settings.batch) : bnSplits
  const splits = flags.bnSplits ?? fitting
  return {
    ...settings,
    queue: flags.queue ?? queue,
    momentum: { ...momentum, start: flags.momentum ?? momentum.start },
    symmetric: flags.symmetric ?? symmetric,
    bnSplits: splits,
    shuffle: (flags.shuffle ?? true) && splits > 1,
  }
}
