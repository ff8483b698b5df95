// --batch and --bn-splits: how many images a step takes, and over how many groups of them batch
// norm goes.

import { UsageError } from './choice.ts'

const FEWEST = 2 // images that batch norm can take statistics of

/** What decides how many images a step takes. */
export interface BatchFlags {
  readonly batch?: number
  /** How many images there are to train on, once that is known. */
  readonly images?: number
}

/** The batch that the flags name, or else the usual one, fitted to the images where their number is
 *  known. */
export const batchOf = ({ batch, images }: BatchFlags, usual: number): number =>
  batch ?? (images === undefined ? usual : fittingBatch(usual, images))

/** The batch for so many images when the flags name none: the preset's, or the largest power of two
 *  that gives an epoch of at least two steps. */
export const fittingBatch = (batch: number, images: number) =>
  Math.min(batch, Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, images / 2)))))

/** Throws UsageError for a batch of one image, with the reason: it is compared with others, or has
 *  no statistics. */
export function checkBatch(batch: number, { compared }: { readonly compared: boolean }) {
  const why = compared
    ? 'images are compared with the others of their batch'
    : `batch norm needs ${FEWEST} images or more`
  if (batch < 2) throw new UsageError(`--batch: must be 2 or more, as ${why}, got ${batch}`)
}

/** The largest number of groups, up to `most`, that divides the batch and leaves batch norm images
 *  enough; or one. */
export function fittingSplits(most: number, batch: number): number {
  let splits = Math.max(1, Math.min(most, Math.floor(batch / FEWEST)))
  while (batch % splits !== 0) splits--
  return splits
}

/** Throws UsageError for groups that do not divide the batch, or of one image each. */
export function checkSplits(splits: number, batch: number) {
  const remedy = `give --bn-splits ${fittingSplits(splits, batch)} or another --batch`
  if (batch % splits !== 0)
    throw new UsageError(`--bn-splits: must divide the batch of ${batch}, got ${splits}; ${remedy}`)
  if (batch < FEWEST * splits)
    throw new UsageError(
      `--bn-splits: must leave batch norm ${FEWEST} images or more in each group, got ${splits} groups of a batch of ${batch}; ${remedy}`,
    )
}
