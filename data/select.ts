// Parts of a data set: the images at some indices, those with labels, a balanced subset. Imports
// nothing of Node, so that a browser can use it.

import { checkValue, describe, having } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { threefry2x32 } from '../kernels/wgsl/threefry.ts'
import {
  DataError,
  type Dataset,
  type Originals,
  checkDataset,
  checkRead,
  imageBytes,
} from './dataset.ts'

/** Makes a set of the images at `indices`, in that order. Throws TypeError for what is no data set
 *  or list, and DataError unless each index is an integer in [0, size). */
export function select(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  checkDataset('select', dataset)
  checkValue('select', 'indices', indices, having('an array of indices', 'length'))
  checkRead(dataset, 0, indices, new Uint8Array(0))
  const chosen = Uint32Array.from(indices)
  const { originals, fileSizes } = dataset
  const at = (wanted: ArrayLike<number>) => Uint32Array.from(wanted, (n) => Number(chosen[n]))
  return {
    ...dataset,
    ...(originals && { originals: selectOriginals(originals, chosen) }),
    size: chosen.length,
    ...(dataset.files && { files: Array.from(chosen, (i) => dataset.files?.[i] ?? '') }),
    ...(fileSizes && { fileSizes: (wanted: ArrayLike<number>) => fileSizes(at(wanted)) }),
    labels: dataset.labels && Int32Array.from(chosen, (i) => Number(dataset.labels?.[i])),
    async read(wanted, out) {
      checkRead({ name: dataset.name, size: chosen.length }, imageBytes(dataset), wanted, out)
      await dataset.read(at(wanted), out)
    },
  }
}

/** Tells whether any image of the set has a label. */
export const isLabelled = ({ labels }: Pick<Dataset, 'labels'>): boolean =>
  labels?.some((label) => label >= 0) ?? false

function selectOriginals({ image, extents, read }: Originals, chosen: Uint32Array): Originals {
  return {
    image,
    extents: extents && extentsAt(extents, chosen),
    read: (wanted, out) =>
      read(
        Uint32Array.from(wanted, (n) => Number(chosen[n])),
        out,
      ),
  }
}

/** Returns the extents [N, 2] of the images at `indices`. */
export const extentsAt = (
  extents: Float32Array,
  indices: ArrayLike<number>,
): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 2 * indices.length }, (_, i) =>
    Number(extents[2 * Number(indices[i >> 1]) + (i & 1)]),
  )

/** Makes a set of the images that have a label other than -1. */
export function labelled(dataset: Dataset): Dataset {
  const { labels } = dataset
  if (!labels?.includes(-1)) return dataset
  return select(
    dataset,
    [...labels.keys()].filter((i) => (labels[i] ?? -1) >= 0),
  )
}

/** Makes a set of `n` images that `seed` alone chooses, balanced by class: counts differ by at most
 *  one while no class runs out. Returns the set itself when it has no more than `n`. Throws
 *  DataError for an `n` below 1. */
export function subset(dataset: Dataset, n: number, seed: number): Dataset {
  checkDataset('subset', dataset)
  checkValue('subset', 'seed', seed, seedRule)
  if (!(Number.isInteger(n) && n > 0))
    throw new DataError(`${dataset.name}: a subset must have at least 1 image, got ${describe(n)}`)
  return n >= dataset.size ? dataset : select(dataset, subsetPlaces(dataset, n, seed))
}

/** Returns the indices of the `n` images that `subset` takes, ascending. */
export function subsetPlaces(
  dataset: Pick<Dataset, 'size' | 'labels'>,
  n: number,
  seed: number,
): readonly number[] {
  const groups = new Map<number, number[]>()
  for (const index of permutation(dataset.size, [seed, SUBSET])) {
    const label = dataset.labels?.[index] ?? 0
    const group = groups.get(label)
    if (group) group.push(index)
    else groups.set(label, [index])
  }
  const queues = [...groups].sort(([a], [b]) => a - b).map(([, queue]) => queue)
  const chosen: number[] = []
  for (let round = 0; chosen.length < Math.min(n, dataset.size); round++)
    for (const queue of queues) {
      const index = queue[round]
      if (index !== undefined && chosen.length < n) chosen.push(index)
    }
  return chosen.sort((a, b) => a - b)
}

const SUBSET = 0x5ab5e7 // stream of the subset's random draws

/** Permutes 0 .. size-1 by the key alone (Fisher-Yates, one Threefry draw per swap). */
export function permutation(
  size: number,
  key: readonly [number, number],
): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: size }, (_, i) => i)
  for (let i = size - 1; i > 0; i--) {
    const [high, low] = threefry2x32(key, [i, 0])
    // 53 random bits: scaling them to i + 1 values has a bias below 2^-21 for i < 2^32
    const j = Math.floor(((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53 * (i + 1))
    const held = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = held
  }
  return order
}
