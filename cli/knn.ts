// kNN accuracy of features on a labelled data set: the encoder's, and raw pixels' beside it.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, testTransform } from '../kernels/augment-recipes.ts'
import { augment } from '../kernels/augment.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import { reshape } from '../kernels/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Model } from '../models/layers.ts'
import { embed } from '../evaluate/embed.ts'
import { accuracy, knn } from '../evaluate/knn.ts'
import { type Dataset, type Split, labelled, subset } from '../data/dataset.ts'
import { batches } from '../data/loader.ts'

export interface KnnOptions {
  readonly k: number | null
  readonly temperature: number
  readonly bank: number | null
  readonly queries: number | null
}

const PIXELS = 32 // raw pixels are compared at this size at most

/** Measures kNN accuracy in percent over a fixed bank (training images) and fixed queries (test images), both under the
 *  test transform, as leftthomas/SimCLR does. */
export class KnnProbe {
  readonly bank: Dataset
  readonly queries: Dataset
  readonly k: number
  readonly #gpu: Gpu
  readonly #temperature: number
  readonly #transform: Recipe
  readonly #views: Recipe

  constructor(gpu: Gpu, { train, test }: Split, views: Recipe, options: KnnOptions) {
    this.#gpu = gpu
    this.#views = views
    this.#transform = testTransform(views)
    this.#temperature = options.temperature
    this.bank = atMost(labelled(train), options.bank)
    this.queries = atMost(test, options.queries)
    this.k = options.k ?? defaultK(this.bank.size)
  }

  /** Of the encoder's features h, in eval mode. */
  ofEncoder(encoder: Model): Promise<number> {
    return this.#measure((x) => encoder.forward(x, { training: false }), this.#transform)
  }

  /** Of the pixels themselves, at 32 px or less. */
  ofPixels(): Promise<number> {
    const size = Math.min(PIXELS, this.bank.image.height, this.bank.image.width)
    const { testResize: _, ...views } = this.#views // the whole image is resized, no middle is cut
    return this.#measure((x) => reshape(x, [x.shape[0] ?? 0, -1]), testTransform({ ...views, size }))
  }

  async #measure(features: (x: Tensor) => Tensor, transform: Recipe): Promise<number> {
    const encode = (images: Tensor) =>
      l2Normalize(features(augment(images, transform, { seed: 0, step: 0, view: 0 })))
    const [bank, queries] = [await this.#embed(encode, this.bank), await this.#embed(encode, this.queries)]
    const { predictions } = await knn(bank, labelsOf(this.bank), queries, {
      k: this.k,
      temperature: this.#temperature,
      classes: this.bank.classes.length,
      normalized: true,
    })
    return accuracy(predictions, labelsOf(this.queries))
  }

  async #embed(encode: (images: Tensor) => Tensor, dataset: Dataset): Promise<Tensor> {
    const { height, width, channels } = dataset.image
    const { features, M, D } = await embed(this.#gpu, encode, inOrder(dataset), [height, width, channels])
    return this.#gpu.tensor(features, [M, D])
  }
}

/** The rows of the table that every measurement ends in: accuracies in percent, null where there is none. */
export function knnRows(measured: Record<'pixels' | 'untrained' | 'trained', number | null>): string[] {
  const percent = (value: number | null) => (value === null ? '-' : `${value.toFixed(1)}%`).padStart(6)
  return [
    `  raw pixels         ${percent(measured.pixels)}`,
    `  untrained encoder  ${percent(measured.untrained)}`,
    `  trained encoder    ${percent(measured.trained)}`,
  ]
}

/** The whole set in its own order, in batches that `embed` takes. */
async function* inOrder(dataset: Dataset) {
  const all = { batch: Math.min(256, dataset.size), seed: 0, epoch: 0, shuffle: false, dropLast: false }
  for await (const { images, indices } of batches(dataset, all)) yield { images, count: indices.length }
}

/** The seed's 200 neighbours, or a fiftieth of a bank too small for so many. */
const defaultK = (bank: number) => (bank >= 10000 ? 200 : Math.max(1, Math.round(bank / 50)))

const atMost = (dataset: Dataset, count: number | null) =>
  count === null || count >= dataset.size ? dataset : subset(dataset, count, 0)

function labelsOf(dataset: Dataset): Int32Array {
  if (!dataset.labels)
    throw new Error(
      `${dataset.name}: kNN needs labels, and this set has none; put each class in its own folder`,
    )
  return dataset.labels
}
