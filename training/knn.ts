// kNN accuracy of features on a labelled data set: the encoder's, and raw pixels' beside it.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { augment } from '../kernels/augment/augment.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Model } from '../models/model.ts'
import { embed, embedSlabs } from '../evaluate/embed.ts'
import { knn } from '../evaluate/knn.ts'
import type { Dataset, Split } from '../data/dataset.ts'
import { labelled, select, subset } from '../data/select.ts'
import { batches } from '../data/loader.ts'
import { counted } from '../data/words.ts'

export interface KnnSettings {
  readonly k: number | null
  readonly temperature: number
  readonly bank: number | null
  readonly queries: number | null
}

const PIXELS = 32 // raw pixels are compared at this size at most
const BYTES = 512 * 2 ** 20 // of the queries' features and of what is nearest to them, at a time

/** Measures kNN accuracy in percent over a fixed bank (training images) and fixed queries (test
 *  images), both under the test transform, as leftthomas/SimCLR does. */
export class KnnProbe {
  readonly bank: Dataset
  readonly queries: Dataset
  readonly k: number
  readonly #gpu: Gpu
  readonly #temperature: number
  readonly #transform: Recipe
  readonly #views: Recipe

  constructor(gpu: Gpu, { train, test }: Split, views: Recipe, options: KnnSettings) {
    this.#gpu = gpu
    this.#views = views
    this.#transform = testTransform(views)
    this.#temperature = options.temperature
    this.bank = atMost(labelled(train), options.bank)
    this.queries = atMost(labelled(test), options.queries)
    this.k = neighboursOf(options, this.bank.size).k
  }

  /** Of the encoder's features h, in eval mode. */
  ofEncoder(encoder: Model): Promise<number> {
    const features = (x: Tensor) => encoder.forward(x, { training: false })
    return this.#measure(features, encoder.features, this.#transform)
  }

  /** Of the pixels themselves, at 32 px or less. */
  ofPixels(): Promise<number> {
    const { height, width, channels } = this.bank.image
    const size = Math.min(PIXELS, height, width)
    const { testResize: _, ...views } = this.#views // the whole image is resized, no middle is cut
    const features = (x: Tensor) => reshape(x, [x.shape[0] ?? 0, -1])
    return this.#measure(features, size * size * channels, testTransform({ ...views, size }))
  }

  /** The accuracy of features of D numbers. Neither the bank's nor all of the queries' are ever
   *  held at once. */
  async #measure(features: (x: Tensor) => Tensor, D: number, transform: Recipe): Promise<number> {
    const gpu = this.#gpu
    const encode = (images: Tensor) =>
      l2Normalize(features(augment(images, transform, { seed: 0, step: 0, view: 0 })))
    const { height, width, channels } = this.bank.image
    const image = [height, width, channels] as const
    const classes = this.bank.classes.length
    const labels = labelsOf(this.bank)
    const most = Math.max(1, Math.floor(BYTES / (4 * (D + 4 * this.k + 2 * classes))))
    let right = 0
    for (const queries of parts(this.queries, most)) {
      const asked = await embed(gpu, encode, batchesInOrder(queries), image)
      const { predictions } = await knn(
        embedSlabs(gpu, encode, batchesInOrder(this.bank), image),
        labels,
        asked,
        {
          k: this.k,
          temperature: this.#temperature,
          classes,
          normalized: true,
          gpu,
        },
      )
      const wanted = labelsOf(queries)
      for (const [i, label] of predictions.entries()) right += Number(label === wanted[i])
    }
    return (100 * right) / this.queries.size
  }
}

/** The rows of the table that every measurement ends in: accuracies in percent, null where there is
 *  none. */
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

/** The whole set in its own order, in batches that `embed` takes. */
export async function* batchesInOrder(dataset: Dataset) {
  const all = {
    batch: Math.min(256, dataset.size),
    seed: 0,
    epoch: 0,
    shuffle: false,
    dropLast: false,
  }
  for await (const { images, labels, indices } of batches(dataset, all))
    yield { images, labels, count: indices.length }
}

/** The set in parts of at most so many images, in order. */
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

/** Neighbours that vote, and the vote's temperature: the 200 of the paper, or a fiftieth of a bank
 *  too small for so many, unless the settings say; never more than the bank has. */
export function neighboursOf(
  { k, temperature }: Pick<KnnSettings, 'k' | 'temperature'>,
  bank: number,
) {
  const usual = bank >= 10000 ? 200 : Math.max(1, Math.round(bank / 50))
  return { k: Math.min(k ?? usual, bank), temperature }
}

/** What to say where more neighbours are asked for than there are; null otherwise. */
export const ofAll = (probe: KnnProbe, { k }: Pick<KnnSettings, 'k'>): string | null =>
  k !== null && k > probe.k
    ? `k ${k} is more than the bank's ${counted(probe.k, 'image')}: all of them vote, so that near ones count little more than far ones`
    : null

const atMost = (dataset: Dataset, count: number | null) =>
  count === null || count >= dataset.size ? dataset : subset(dataset, count, 0)

function labelsOf(dataset: Dataset): Int32Array {
  if (!dataset.labels)
    throw new Error(
      `${dataset.name}: kNN needs labels, and this set has none; put each class in its own folder`,
    )
  return dataset.labels
}
