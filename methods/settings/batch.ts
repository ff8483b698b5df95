// The rules of a batch, of its groups for batch norm, and of its chunks.

import { evenly } from '../chunks.ts'

const FEWEST = 2 // images that batch norm needs

/** A wrong setting: its path, and the reason. */
export interface Wrong {
  readonly setting: string
  readonly reason: string
}

/** Returns a setting's name for the user: an option or a field. */
export type NameOf = (setting: string) => string

/** Returns the batch for `images` images: the usual one, but at most the largest power of two that
 *  makes two steps an epoch. */
export const fittingBatch = (usual: number, images: number) =>
  Math.min(usual, Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, images / 2)))))

/** Returns the reason against a batch of one image, else null. The method compares its images, or
 *  batch norm has no statistics of one. */
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

/** Returns the largest number of groups, up to `most`, that divides the batch into groups of 2
 *  images or more; 1 if there is none. */
export function fittingSplits(most: number, batch: number): number {
  let splits = Math.max(1, Math.min(most, Math.floor(batch / FEWEST)))
  while (batch % splits !== 0) splits--
  return splits
}

/** Returns the reason if groups do not divide the batch or hold one image each, else null. */
export function wrongSplits(
  { bnSplits, batch }: { readonly bnSplits: number; readonly batch: number },
  name: NameOf,
): Wrong | null {
  const fitting = fittingSplits(bnSplits, batch)
  const remedy = `give ${name('bnSplits')} ${fitting} or another ${name('batch')}`
  const wrong = (rule: string) => ({ setting: 'bnSplits', reason: `${rule}; ${remedy}` })
  if (batch % bnSplits !== 0) return wrong(`must divide the batch of ${batch}, got ${bnSplits}`)
  if (batch < FEWEST * bnSplits)
    return wrong(
      `must leave batch norm ${FEWEST} images or more in each group, got ${bnSplits} ` +
        `groups of a batch of ${batch}`,
    )
  return null
}

/** Settings that decide the smallest chunk for batch norm. */
export interface Normed {
  readonly batch: number
  readonly chunk?: number | null
  readonly bnSplits?: number
  readonly batchNorm?: unknown
}

/** Returns the reason if a chunk leaves batch norm, or one of its groups, a single image, else
 *  null. SimCLR's joint batch norm has two views of a single image, which are enough. */
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
      'each chunk is split for batch norm, so it must hold 2 images or more for each of ' +
        `the ${bnSplits} of ${name('bnSplits')}`,
    )
  if (fewest < 2 && batchNorm !== 'joint')
    return wrong(
      `batch norm${batchNorm === 'per-view' ? ' per view' : ''} needs 2 images or more at a time`,
    )
  return null
}
