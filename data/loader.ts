// Reads the batches of an epoch ahead of training. The order depends on (seed, epoch) alone: a run
// resumed within an epoch gets the batches that it would have got.

import { type Abortable, abortable, unlessAborted } from '../kernels/abort.ts'
import { threefry2x32 } from '../kernels/wgsl/threefry.ts'
import { anything, checkOptions, describe, flag, needed, said } from '../kernels/options.ts'
import { DataError, type Dataset, checkDataset, imageBytes } from './dataset.ts'
import { permutation } from './select.ts'
import { counted } from './words.ts'

/** Options of `batches`. */
export interface BatchOptions extends Abortable {
  /** Images in a batch. */
  readonly batch: number
  /** Integer that, with the epoch, decides the order. */
  readonly seed: number
  /** Number of the epoch, from 0. */
  readonly epoch: number
  /** First step to return, for a run that resumes within the epoch; 0 by default. */
  readonly start?: number
  /** False keeps the set's own order; true by default. */
  readonly shuffle?: boolean
  /** False returns the rest at the end as a smaller batch; true, the default, drops it. */
  readonly dropLast?: boolean
  /** False leaves the pixels out, for callers that have them already; true by default. */
  readonly pixels?: boolean
  /** Number of batches to read ahead; 2 by default. */
  readonly prefetch?: number
}

/** N images of a set, with their labels. */
export interface Batch {
  /** Position in the epoch, from 0. */
  readonly step: number
  /** [N], positions of the images in the set. */
  readonly indices: Uint32Array<ArrayBuffer>
  /** u8 [N, H, W, C]; empty when the pixels are left out. */
  readonly images: Uint8Array<ArrayBuffer>
  /** Shape of `images`. */
  readonly shape: readonly [N: number, H: number, W: number, C: number]
  /** [N], indices of classes, -1 without a label; null when the set has no labels. */
  readonly labels: Int32Array<ArrayBuffer> | null
}

const EPOCH = 0x0e90c4 // stream of the random keys of the orders

const MOST = 2 ** 32 // most bytes of a batch

/** Counts the batches of an epoch. Throws DataError when there is none, or a batch has more than
 *  4 GiB. */
export function countSteps(dataset: Dataset, options: Pick<BatchOptions, 'batch' | 'dropLast'>) {
  checkDataset('countSteps', dataset)
  const { batch, dropLast = true } = options
  const { name, size } = dataset
  if (!(Number.isInteger(batch) && batch > 0))
    throw new DataError(`${name}: batch must be a positive integer, got ${describe(batch)}`)
  if (size === 0) throw new DataError(`${name}: there are no images to make batches of`)
  if (dropLast && batch > size)
    throw new DataError(
      `${name}: batch ${batch} is larger than the ${counted(size, 'image')}; ` +
        (size < 2 ? 'add images' : `lower the batch to ${size} or less, or add images`),
    )
  const bytes = Math.min(batch, size) * imageBytes(dataset)
  if (bytes > MOST)
    throw new DataError(
      `${name}: a batch must have at most ${MOST} bytes, ` +
        `got ${counted(Math.min(batch, size), 'image')}, ${bytes} bytes; ` +
        `lower the batch or the size of the images`,
    )
  return dropLast ? Math.floor(size / batch) : Math.ceil(size / batch)
}

const rules = {
  ...{
    batch: needed(said('a whole number from 1 on')),
    seed: needed(said('an integer')),
    epoch: needed(said('a whole number from 0 on')),
    start: anything,
  },
  ...{ shuffle: flag, dropLast: flag, pixels: flag, prefetch: anything },
  ...abortable,
}

/** Iterates over the batches of an epoch, and reads up to `prefetch` batches ahead. Throws
 *  DataError at once when no batch can be made. An error in a read is thrown when its batch is
 *  next. When the signal is aborted, no further read begins, and the next batch rejects with its
 *  reason as soon as the reads under way have ended. */
export function batches(dataset: Dataset, options: BatchOptions): AsyncIterable<Batch> {
  checkDataset('batches', dataset)
  const checked = checkOptions('batches', options ?? {}, rules)
  const { batch, seed, epoch, start = 0, shuffle = true, pixels = true, prefetch = 2 } = checked
  const { signal } = checked
  const end = countSteps(dataset, options)
  for (const [what, value] of Object.entries({ start, epoch, prefetch }))
    if (!(Number.isInteger(value) && value >= 0))
      throw new DataError(
        `${dataset.name}: ${what} must be an integer from 0, got ${describe(value)}`,
      )
  if (!Number.isInteger(seed))
    throw new DataError(`${dataset.name}: seed must be an integer, got ${describe(seed)}`)
  const order = shuffle
    ? permutation(dataset.size, threefry2x32([seed, EPOCH], [epoch, 0]))
    : Uint32Array.from({ length: dataset.size }, (_, i) => i)
  const load = (step: number) =>
    readBatch(dataset, step, { indices: order.slice(step * batch, (step + 1) * batch), pixels })
  return ahead(load, start, end, { most: prefetch, signal })
}

async function readBatch(
  dataset: Dataset,
  step: number,
  { indices, pixels }: { readonly indices: Uint32Array<ArrayBuffer>; readonly pixels: boolean },
): Promise<Batch> {
  const images = new Uint8Array(pixels ? indices.length * imageBytes(dataset) : 0)
  if (pixels) await dataset.read(indices, images)
  const { labels, image } = dataset
  const shape = [indices.length, image.height, image.width, image.channels] as const
  return {
    step,
    indices,
    images,
    shape,
    labels: labels && Int32Array.from(indices, (i) => labels[i] ?? -1),
  }
}

/** Yields load(from) .. load(to - 1) in order. Runs up to `most` loads beyond the one awaited.
 *  Throws the signal's reason when it is aborted. */
async function* ahead<T>(
  load: (step: number) => Promise<T>,
  from: number,
  to: number,
  { most, signal }: { readonly most: number; readonly signal: AbortSignal | undefined },
) {
  const pending: Promise<T>[] = []
  let next = from
  const fill = (count: number) => {
    while (pending.length < count && next < to) {
      const loading = load(next++)
      loading.catch(() => undefined) // awaited, and thrown, when its turn comes
      pending.push(loading)
    }
  }
  try {
    for (;;) {
      signal?.throwIfAborted()
      fill(most + 1)
      const [first] = pending
      if (!first) return
      const item = await unlessAborted(signal, first)
      void pending.shift()
      fill(most)
      yield item
    }
  } finally {
    await Promise.allSettled(pending) // a caller that stops early may then close the set
  }
}
