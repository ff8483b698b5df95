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

/** The option's value, or null where there is none. Throws UsageError for a chunk that leaves an
 *  image alone, in its split if there are some, where it has no statistics: there are two of it in
 *  SimCLR's joint batch norm only. */
export function chunkOf(
  chunk: number | undefined,
  { batch, bnSplits = 1, batchNorm }: Normed,
): number | null {
  if (chunk === undefined) return null
  const fewest =
    chunk < bnSplits
      ? chunk
      : Math.min(
          ...evenly(batch, { most: chunk, unit: bnSplits }).map(([start, end]) => end - start),
        )
  if (bnSplits > 1 && fewest < 2 * bnSplits)
    throw new UsageError(
      `--chunk: each chunk is split for batch norm, so it must hold 2 images or more for each of the ${bnSplits} of --bn-splits, got ${fewest} of a batch of ${batch} in chunks of ${chunk}`,
    )
  if (fewest < 2 && batchNorm !== 'joint')
    throw new UsageError(
      `--chunk: batch norm${batchNorm === 'per-view' ? ' per view' : ''} needs 2 images or more at a time, got ${fewest} of a batch of ${batch} in chunks of ${chunk}`,
    )
  return chunk
}
