// Accuracy of an encoder's features on a labelled data set, by kNN and by a linear probe, and kNN
// accuracy of raw pixels.

import type { Abortable } from '../kernels/abort.ts'
import type { Tensor } from '../kernels/op.ts'
import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Model } from '../models/model.ts'
import { type Embeddings, embed, embedSlabs } from '../evaluate/embed.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { knn } from '../evaluate/knn.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { predicted, scoresOf } from '../evaluate/regression.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import type { Dataset, Split } from '../data/dataset.ts'
import { labelled, select, subset } from '../data/select.ts'
import { batches } from '../data/loader.ts'
import { counted } from '../data/words.ts'

/** Settings of a kNN measurement; null for the default or for all images. */
export interface KnnSettings {
  readonly k: number | null
  readonly temperature: number
  readonly bank: number | null
  readonly queries: number | null
}

const PIXELS = 32 // largest side at which raw pixels are compared
const BYTES = 512 * 2 ** 20 // of the features, neighbours and votes of a part of the queries

/** Accuracies in percent. */
export interface FeatureAccuracy {
  readonly knn: number
  /** Of a linear probe; absent where none was asked for. */
  readonly probe?: number
}

/** Measures kNN accuracy in percent over a fixed bank of training images and fixed queries, test
 *  images. Both are under the test transform, as in leftthomas/SimCLR. */
export class KnnProbe {
  readonly bank: Dataset
  readonly queries: Dataset
  readonly k: number
  readonly #gpu: Gpu
  readonly #temperature: number
  readonly #transform: Recipe
  readonly #views: Recipe
  #exact: Gpu | null = null // in f32, for the linear probe

  constructor(gpu: Gpu, { train, test }: Split, views: Recipe, options: KnnSettings) {
    this.#gpu = gpu
    this.#views = views
    this.#transform = testTransform(views)
    this.#temperature = options.temperature
    this.bank = atMost(labelled(train), options.bank)
    this.queries = atMost(labelled(test), options.queries)
    this.k = neighboursOf(options, this.bank.size).k
  }

  /** Measures kNN accuracy of the encoder's features h, in eval mode. Rejects with the signal's
   *  reason when it is aborted. */
  async ofEncoder(encoder: Model, signal?: AbortSignal): Promise<number> {
    return (await this.#measure(encoder, this.#transform, { linear: false, signal })).knn
  }

  /** Measures kNN accuracy, and that of a linear probe, which is fitted to the same features of the
   *  bank, or to as many as 512 MiB hold. Rejects like `ofEncoder`. */
  ofProbes(encoder: Model, signal?: AbortSignal): Promise<FeatureAccuracy> {
    return this.#measure(encoder, this.#transform, { linear: true, signal })
  }

  /** Measures kNN accuracy of raw pixels, at 32 px or less. Rejects like `ofEncoder`. */
  async ofPixels(signal?: AbortSignal): Promise<number> {
    const { height, width, channels } = this.bank.image
    const size = Math.min(PIXELS, height, width)
    const { testResize: _, ...views } = this.#views // resize the whole image, do not crop it
    const pixels = {
      forward: (x: Tensor) => reshape(x, [x.shape[0] ?? 0, -1]),
      features: size * size * channels,
    }
    const transform = testTransform({ ...views, size })
    return (await this.#measure(pixels, transform, { linear: false, signal })).knn
  }

  /** Measures features of D numbers. Computes the bank in slabs and the queries in parts, to bound
   *  the memory. */
  async #measure(
    encoder: Pick<Model, 'forward' | 'features'>,
    transform: Recipe,
    { linear, signal }: { readonly linear: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<FeatureAccuracy> {
    const gpu = this.#gpu
    const D = encoder.features
    const encode = unitFeatures(encoder, transform)
    const { height, width, channels } = this.bank.image
    const image = [height, width, channels] as const
    const classes = this.bank.classes.length
    const ending = signal ? { signal } : {}
    const rows = (set: Dataset) => embed(gpu, encode, batchesInOrder(set, ending), image, ending)
    const fitted = linear ? await this.#fitted(rows, D, ending) : null
    const most = Math.max(1, Math.floor(BYTES / (4 * (D + 4 * this.k + 2 * classes))))
    const vote = { k: this.k, temperature: this.#temperature, classes, normalized: true, gpu }
    let [near, right] = [0, 0]
    for (const queries of parts(this.queries, most)) {
      const embedded = await rows(queries)
      const { predictions } = await knn(
        fitted?.bank ?? embedSlabs(gpu, encode, batchesInOrder(this.bank, ending), image, ending),
        knownLabels(this.bank),
        embedded,
        { ...vote, ...ending },
      )
      const truth = knownLabels(queries)
      near += equals(predictions, truth)
      if (fitted) right += equals(await fitted.classify(embedded), truth)
    }
    const percent = (count: number) => (100 * count) / this.queries.size
    return { knn: percent(near), ...(fitted && { probe: percent(right) }) }
  }

  /** Fits a linear probe to the features of the bank, or of a part that is balanced by class if
   *  they take more than 512 MiB. `bank` are the features of the whole bank, null of a part. */
  async #fitted(rows: (set: Dataset) => Promise<Embeddings>, D: number, ending: Abortable) {
    const gpu = (this.#exact ??= inF32(this.#gpu))
    const classes = this.bank.classes.length
    const part = atMost(this.bank, Math.max(1, Math.floor(BYTES / (4 * D))))
    const features = await rows(part)
    const probe = await linearProbe(gpu, features, knownLabels(part), { classes, ...ending })
    return {
      bank: part === this.bank ? features : null,
      classify: async (queries: Embeddings) =>
        predicted(await scoresOf(gpu, queries, probe, ending), classes),
    }
  }
}

/** Counts the predictions that equal the labels. */
function equals(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  let count = 0
  for (let i = 0; i < labels.length; i++) count += Number(predictions[i] === labels[i])
  return count
}

/** Writes the rows of the table of accuracies. They are in percent, null if not measured. */
export function knnRows(
  measured: Record<'pixels' | 'untrained' | 'trained', number | null>,
): string[] {
  const percent = (value: number | null) =>
    (value === null ? '-' : `${value.toFixed(1)}%`).padStart(6)
  return [
    `  raw pixels         ${percent(measured.pixels)}`,
    `  untrained encoder  ${percent(measured.untrained)}`,
    `  trained encoder    ${percent(measured.trained)}`,
  ]
}

/** Yields the whole set in its own order, in batches for `embed`. */
export async function* batchesInOrder(dataset: Dataset, ending: Abortable = {}) {
  const all = {
    batch: Math.min(256, dataset.size),
    seed: 0,
    epoch: 0,
    shuffle: false,
    dropLast: false,
    ...ending,
  }
  for await (const { images, labels, indices } of batches(dataset, all))
    yield { images, labels, count: indices.length }
}

/** Cuts the set into parts of at most `most` images, in order. */
function parts(dataset: Dataset, most: number): Dataset[] {
  if (dataset.size <= most) return [dataset]
  return Array.from({ length: Math.ceil(dataset.size / most) }, (_, i) => {
    const size = Math.min(most, dataset.size - i * most)
    return select(
      dataset,
      Uint32Array.from({ length: size }, (__, j) => i * most + j),
    )
  })
}

/** Returns the number of neighbours that vote and the temperature of the vote. The default is the
 *  paper's 200, or a fiftieth of a bank below 10,000 images. The bank's size is the limit. */
export function neighboursOf(
  { k, temperature }: Pick<KnnSettings, 'k' | 'temperature'>,
  bank: number,
) {
  const usual = bank >= 10000 ? 200 : Math.max(1, Math.round(bank / 50))
  return { k: Math.min(k ?? usual, bank), temperature }
}

/** Returns a note if k is larger than the bank, else null. */
export const ofAll = (probe: KnnProbe, { k }: Pick<KnnSettings, 'k'>): string | null =>
  k !== null && k > probe.k
    ? `k ${k} is more than the bank's ${counted(probe.k, 'image')}: all of them vote, so ` +
      'that near ones count little more than far ones'
    : null

/** Returns at most so many images, balanced by class; all for null. */
export const atMost = (dataset: Dataset, count: number | null) =>
  count === null || count >= dataset.size ? dataset : subset(dataset, count, 0)

/** Returns the labels. Throws Error in words for a set without. */
export function knownLabels(dataset: Dataset): Int32Array {
  if (!dataset.labels)
    throw new Error(
      `${dataset.name}: kNN needs labels, and this set has none; put each class in its own folder`,
    )
  return dataset.labels
}
