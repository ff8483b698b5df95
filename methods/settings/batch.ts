// The rules between a batch and how it is divided: over groups of batch norm, and in chunks.

import { evenly } from '../chunks.ts'

const FEWEST = 2 // images that batch norm can take statistics of

/** A setting that is wrong, by its path, and its rule. */
export interface Wrong {
  readonly setting: string
  readonly reason: string
}

/** Names a setting as the reader knows it: an option or a field. */
export type NameOf = (setting: string) => string

/** The batch for so many images: the usual one, or the largest power of two that gives an epoch of
 *  at least two steps. */
export const fittingBatch = (usual: number, images: number) =>
  Math.min(usual, Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, images / 2)))))

/** What is wrong with a batch of one image: it is compared with others, or has no statistics. */
export function wrongBatch(
  batch: number,
  { compared }: { readonly compared: boolean },
): Wrong | null {
  if (batch >= 2) return null
  const why = compared
    ? 'images are compared with the others of their batch'
    : `batch norm needs ${FEWEST} images or more`
  return { setting: 'batch', reason: `must be 2 or more, as ${why}, got ${batch}` }
}

/** The largest number of groups, up to `most`, that divides the batch and leaves batch norm images
 *  enough; or one. */
export function fittingSplits(most: number, batch: number): number {
  let splits = Math.max(1, Math.min(most, Math.floor(batch / FEWEST)))
  while (batch % splits !== 0) splits--
  return splits
}

/** What is wrong with groups that do not divide the batch, or that hold one image each. */
export function wrongSplits(
  { bnSplits, batch }: { readonly bnSplits: number; readonly batch: number },
  name: NameOf,
): Wrong | null {
  const remedy = `give ${name('bnSplits')} ${fittingSplits(bnSplits, batch)} or another ${name('batch')}`
  const wrong = (rule: string) => ({ setting: 'bnSplits', reason: `${rule}; ${remedy}` })
  if (batch % bnSplits !== 0) return wrong(`must divide the batch of ${batch}, got ${bnSplits}`)
  if (batch < FEWEST * bnSplits)
    return wrong(
      `must leave batch norm ${FEWEST} images or more in each group, got ${bnSplits} groups of a batch of ${batch}`,
    )
  return null
}

/** The settings that decide which chunks batch norm can take statistics of. */
export interface Normed {
  readonly batch: number
  readonly chunk?: number | null
  readonly bnSplits?: number
  readonly batchNorm?: unknown
}

/** What is wrong with a chunk that leaves an image alone, in its group if there are some: it has no
 *  statistics. SimCLR's joint batch norm has two views of it. */
export function wrongChunk(
  { chunk = null, batch, bnSplits = 1, batchNorm }: Normed,
  name: NameOf,
): Wrong | null {
  if (chunk === null) return null
  const fewest =
    chunk < bnSplits
      ? chunk
      : Math.min(
          ...evenly(batch, { most: chunk, unit: bnSplits }).map(([start, end]) => end - start),
        )
  const got = `got ${fewest} of a batch of ${batch} in chunks of ${chunk}`
  const wrong = (rule: string) => ({ setting: 'chunk', reason: `${rule}, ${got}` })
  if (bnSplits > 1 && fewest < 2 * bnSplits)
    return wrong(
      `each chunk is split for batch norm, so it must hold 2 images or more for each of the ${bnSplits} of ${name('bnSplits')}`,
    )
  if (fewest < 2 && batchNorm !== 'joint')
    return wrong(
      `batch norm${batchNorm === 'per-view' ? ' per view' : ''} needs 2 images or more at a time`,
    )
  return null
}
