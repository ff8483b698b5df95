// --chunk: how many images of a batch are encoded at a time.

import type { Command } from 'commander'
import { evenly } from '../methods/chunks.ts'
import { UsageError } from './choice.ts'
import { count } from './numbers.ts'

/** Adds the option. */
export const chunking = (own: Command): Command =>
  own.option(
    '--chunk <n>',
    'images encoded at a time, so that any batch fits the memory at the price of a second forward (default: all)',
    count,
  )

/** What decides which chunks batch norm can take statistics of. */
interface Normed {
  readonly batch: number
  readonly bnSplits?: number
  readonly batchNorm?: unknown
}

/** The option's value, or null where there is none. Throws UsageError for a chunk that holds no image of some split, or that leaves
 *  an image alone, which has no statistics: there are two of it in SimCLR's joint batch norm only. */
export function chunkOf(
  chunk: number | undefined,
  { batch, bnSplits = 1, batchNorm }: Normed,
): number | null {
  if (chunk === undefined) return null
  if (chunk < bnSplits)
    throw new UsageError(
      `--chunk: each chunk is split for batch norm, so it must be at least the ${bnSplits} of --bn-splits, got ${chunk}`,
    )
  const cut = evenly(batch, { most: chunk, unit: bnSplits })
  const fewest = Math.min(...cut.map(([start, end]) => end - start))
  if (fewest < 2 && batchNorm !== 'joint')
    throw new UsageError(
      `--chunk: batch norm${batchNorm === 'per-view' ? ' per view' : ''} needs 2 images or more at a time, got ${fewest} of a batch of ${batch} in chunks of ${chunk}`,
    )
  return chunk
}
