// Batches of an epoch, read ahead of the one who trains on them. The order depends on (seed, epoch) alone, so that a
// run resumed in the middle of an epoch sees the batches that it would have seen.

import { threefry2x32 } from '../kernels/wgsl/threefry.ts'
import { anything, checkOptions, describe, flag, needed, said } from '../kernels/options.ts'
import { DataError, type Dataset, checkDataset, imageBytes, permutation } from './dataset.ts'
import { counted } from './words.ts'

export interface BatchOptions {
  /** Images in a batch. */
  readonly batch: number
  readonly seed: number
  readonly epoch: number
  /** The first step to give, for a run that resumes within the epoch. */
  readonly start?: number
  /** False gives the set in its own order. */
  readonly shuffle?: boolean
  /** False gives what is left at the end as a smaller batch. */
  readonly dropLast?: boolean
  /** False leaves the pixels out, for one who has them already. */
  readonly pixels?: boolean
  /** Batches read ahead. */
  readonly prefetch?: number
}

export interface Batch {
  /** Position in the epoch, from 0. */
  readonly step: number
  /** [N], positions in the set. */
  readonly indices: Uint32Array<ArrayBuffer>
  /** u8 [N, H, W, C]; empty where the pixels are left out. */
  readonly images: Uint8Array<ArrayBuffer>
  /** [N, H, W, C]. */
  readonly shape: readonly [N: number, H: number, W: number, C: number]
  /** [N], or null when the set has no labels. */
  readonly labels: Int32Array<ArrayBuffer> | null
}

const EPOCH = 0x0e90c4 // stream of the orders' keys

const MOST = 2 ** 32 // bytes of a batch

/** The number of batches in an epoch. Throws DataError when there is none, and for batches of more than 4 GiB. */
export function countSteps(dataset: Dataset, options: Pick<BatchOptions, 'batch' | 'dropLast'>) {
  checkDataset('countSteps', dataset)
  const { batch, dropLast = true } = options
  const { name, size } = dataset
  if (!(Number.isInteger(batch) && batch > 0))
    throw new DataError(`${name}: batch must be a positive integer, got ${describe(batch)}`)
  if (size === 0) throw new DataError(`${name}: there are no images to make batches of`)
  if (dropLast && batch > size)
    throw new DataError(
      `${name}: batch ${batch} is larger than the ${counted(size, 'image')}; ${size < 2 ? 'add images' : `lower the batch to ${size} or less, or add images`}`,
    )
  const bytes = Math.min(batch, size) * imageBytes(dataset)
  if (bytes > MOST)
    throw new DataError(
      `${name}: a batch must have at most ${MOST} bytes, got ${counted(Math.min(batch, size), 'image')}, ${bytes} bytes; lower the batch or the size of the images`,
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
}

/** The batches of an epoch in order, while up to `prefetch` further ones are being read. A failed read is thrown when
 *  its batch is asked for. Throws DataError at once when no batch can be made. */
export function batches(dataset: Dataset, options: BatchOptions): AsyncIterable<Batch> {
  checkDataset('batches', dataset)
  const checked = checkOptions('batches', options ?? {}, rules)
  const { batch, seed, epoch, start = 0, shuffle = true, pixels = true, prefetch = 2 } = checked
  const end = countSteps(dataset, options)
  for (const [what, value] of Object.entries({ start, epoch, prefetch }))
    if (!(Number.isInteger(value) && value >= 0))
      throw new DataError(`${dataset.name}: ${what} must be an integer from 0, got ${describe(value)}`)
  if (!Number.isInteger(seed))
    throw new DataError(`${dataset.name}: seed must be an integer, got ${describe(seed)}`)
  const order = shuffle
    ? permutation(dataset.size, threefry2x32([seed, EPOCH], [epoch, 0]))
    : Uint32Array.from({ length: dataset.size }, (_, i) => i)
  const load = (step: number) =>
    readBatch(dataset, step, { indices: order.slice(step * batch, (step + 1) * batch), pixels })
  return ahead(load, start, end, prefetch)
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
  return { step, indices, images, shape, labels: labels && Int32Array.from(indices, (i) => labels[i] ?? -1) }
}

/** load(from), load(from + 1), ... in order, with up to `most` loads under way beyond the one that is awaited. */
async function* ahead<T>(load: (step: number) => Promise<T>, from: number, to: number, most: number) {
  const pending: Promise<T>[] = []
  let next = from
  const fill = (count: number) => {
    while (pending.length < count && next < to) {
      const loading = load(next++)
      loading.catch(() => undefined) // thrown again when its turn comes; until then it is not unhandled
      pending.push(loading)
    }
  }
  try {
    for (;;) {
      fill(most + 1)
      const first = pending.shift()
      if (!first) return
      const item = await first
      fill(most)
      yield item
    }
  } finally {
    await Promise.allSettled(pending) // whoever stops early may then close the set
  }
}
