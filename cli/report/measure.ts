// Measures a run's encoder for its report: the views that it saw, a map of test features, nearest
// neighbours before and after training, accuracy by class, and the dimensions in use.

import { batches } from '../../data/loader.ts'
import type { Dataset, Split } from '../../data/dataset.ts'
import { extentsAt, isLabelled, labelled, select, subset, subsetPlaces } from '../../data/select.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { embed } from '../../evaluate/embed.ts'
import { knn } from '../../evaluate/knn.ts'
import { classificationReport } from '../../evaluate/measure/classification-report.ts'
import { spectrum } from '../../evaluate/measure/spectrum.ts'
import { nearest } from '../../evaluate/nearest.ts'
import type { Embeddings } from '../../evaluate/slabs.ts'
import { augment } from '../../kernels/augment/augment.ts'
import { testTransform } from '../../kernels/augment/recipes.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import type { Tensor } from '../../kernels/op.ts'
import { methodOf } from '../../methods/registry.ts'
import { recipeOf } from '../../methods/views.ts'
import type { Model } from '../../models/model.ts'
import { batchesInOrder, neighboursOf } from '../../training/knn.ts'
import { measuredModel } from '../../training/prepare.ts'
import type { TrainConfig } from '../../training/run-schema.ts'
import { layoutsOf } from './layouts.ts'
import { type ClassFigures, type Measured, type NearImages, measuredVersion } from './measured.ts'
import { type Raw, denormalised, png, rawImages, sheetOf, webp } from './pictures.ts'

const PAIRS = 6 // images whose views are shown
const QUERIES = 6 // images whose neighbours are shown
const NEAREST = 5 // neighbours of each
const BANK = 10_000 // most images that neighbours are found among
const RANKED = 2048 // most features whose rank is computed: it takes O(M D min(M, D))
const LARGE = 96 // pixels of a picture

/** Most images on the map by default: more on a GPU. */
export const usualPoints = (gpu: Gpu) => (gpu.software ? 2000 : 5000)

/** A trained encoder with its images. */
export interface Reported {
  readonly config: TrainConfig
  /** `train` is the part that the run trained on. */
  readonly data: Split
  /** The encoder, or the encoder with its head: what kNN compares. */
  readonly model: Model
  readonly step: number
  /** Most images on the map. */
  readonly points: number
}

/** Measures all that a report shows besides curves. Takes at most `points` test images (training
 *  images where there are none) and as many training images as kNN does, 10,000 at most. */
export async function measureReport(gpu: Gpu, subject: Reported): Promise<Measured> {
  const { config, data, model, step, points } = subject
  const { train, test } = data
  const { from, shown, asked, bank } = chosen(subject)
  const transform = testTransform(recipeOf(config.views, 0))
  const unit = (of: Model, set: Dataset): Promise<Embeddings> => {
    const { height, width, channels } = set.image
    const encode = (images: Tensor) => {
      const tested = augment(images, transform, { seed: 0, step: 0, view: 0 })
      return l2Normalize(of.forward(tested, { training: false }))
    }
    return embed(gpu, encode, batchesInOrder(set), [height, width, channels])
  }
  const features = await unit(model, shown)
  const banked = bank.size > 0 ? await unit(model, bank) : { ...features, M: 0 }
  const classes = isLabelled(from) && isLabelled(bank) && test.size > 0
  const judged = classes ? await judge(gpu, config, { shown, features, bank, banked }) : null
  return {
    ...{ version: measuredVersion, step, points, classes: [...train.classes] },
    views: await viewsOf(gpu, config, train),
    map: {
      ...{ of: test.size > 0 ? 'test' : 'training', from: from.size, size: shown.size },
      labels: Array.from(labelsOf(shown)),
      predictions: judged?.predictions ?? [],
      files: [...(shown.files ?? [])],
      thumbnails: await sheetOf(shown, thumbSide(shown.size)),
      layouts: await layoutsOf(gpu, features),
    },
    neighbours: await neighboursIn({ gpu, config, asked, bank, banked, unit, model }),
    report: judged?.figures ?? null,
    rank: rankOf(features),
  }
}

const thumbSide = (count: number) => (count <= 2000 ? 40 : count <= 10_000 ? 28 : 16)

const labelsOf = ({ size, labels }: Dataset): Int32Array => labels ?? new Int32Array(size).fill(-1)

/** Chooses the images of the map, those whose neighbours are shown, and those that neighbours are
 *  found among. Without test images all are training images, and none is its own neighbour. */
function chosen({ config, data, points }: Reported) {
  const usable = (set: Dataset) => (isLabelled(set) ? labelled(set) : set)
  const train = usable(data.train)
  const most = Math.min(config.knn.bank ?? BANK, BANK)
  const from = data.test.size > 0 ? usable(data.test) : train
  const shown = subset(from, points, 0)
  if (from !== train) {
    const asked = subset(shown, QUERIES, 1)
    return { from, shown, asked, bank: subset(train, most, 0) }
  }
  const places = subsetPlaces(train, QUERIES, 1)
  const others = subsetPlaces(train, most, 0).filter((place) => !places.includes(place))
  return { from, shown, asked: select(train, places), bank: select(train, others) }
}

function rankOf({ features, M, D }: Embeddings): Measured['rank'] {
  const rows = Math.min(M, RANKED)
  const { effectiveRank, rankMe } = spectrum({
    features: features.subarray(0, rows * D),
    M: rows,
    D,
  })
  return { effectiveRank, rankMe, features: D }
}

interface Judged {
  readonly shown: Dataset
  readonly features: Embeddings
  readonly bank: Dataset
  readonly banked: Embeddings
}

/** Classifies the shown images by kNN. */
async function judge(
  gpu: Gpu,
  config: TrainConfig,
  { shown, features, bank, banked }: Judged,
): Promise<{ predictions: number[]; figures: ClassFigures }> {
  const { k, temperature } = neighboursOf(config.knn, bank.size)
  const classes = bank.classes.length
  const how = { k, temperature, classes, normalized: true, gpu }
  const { scores, predictions } = await knn(banked, labelsOf(bank), features, how)
  const figures = classificationReport(scores, labelsOf(shown), { classes, predictions })
  return {
    predictions: Array.from(predictions),
    figures: {
      ...{ k, bank: bank.size, queries: shown.size },
      accuracy: figures.accuracy,
      balancedAccuracy: figures.balancedAccuracy,
      top5: classes > 5 ? figures.top5 : null,
      confusion: Array.from(figures.confusion),
    },
  }
}

interface Searched {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly asked: Dataset
  readonly bank: Dataset
  readonly banked: Embeddings
  readonly unit: (of: Model, set: Dataset) => Promise<Embeddings>
  readonly model: Model
}

/** Finds the training images nearest to a few of the shown ones, by untrained and by trained
 *  features. */
async function neighboursIn(searched: Searched): Promise<NearImages[]> {
  const { gpu, config, asked, bank, banked, unit, model } = searched
  if (bank.size === 0) return []
  const method = methodOf(config.method)
  const encoder = method.encoder(gpu, config)
  const untrained = measuredModel(config, {
    encoder,
    head: method.head(gpu, config, encoder.features),
  })
  const find = async (features: Embeddings, queries: Embeddings) =>
    nearest(features, queries, NEAREST, { normalized: true, gpu })
  const after = await find(banked, await unit(model, asked))
  const before = await find(await unit(untrained, bank), await unit(untrained, asked))
  const pictured = async (set: Dataset, places: ArrayLike<number>) =>
    Promise.all(
      (await rawImages(set, places)).map(async (raw, i) => ({
        picture: await webp(raw, LARGE),
        label: labelsOf(set)[places[i] ?? 0] ?? -1,
      })),
    )
  const queries = await pictured(asked, [...Array(asked.size).keys()])
  return Promise.all(
    queries.map(async (query, q) => {
      const of = ({ indices, k }: { indices: Uint32Array; k: number }) =>
        pictured(bank, indices.subarray(q * k, (q + 1) * k))
      return { query, before: await of(before), after: await of(after) }
    }),
  )
}

/** Returns the indices of the first images of the first batch. */
async function firstOf({ batch, seed }: TrainConfig, set: Dataset): Promise<Uint32Array> {
  const most = Math.min(batch, set.size) // another set may be smaller than a batch
  for await (const { indices } of batches(set, { batch: most, seed, epoch: 0, pixels: false }))
    return indices.slice(0, PAIRS)
  return new Uint32Array(0)
}

/** Makes the two views of the first images of the first batch, as the first step did. */
async function viewsOf(gpu: Gpu, config: TrainConfig, train: Dataset): Promise<Measured['views']> {
  const { seed, views } = config
  const { originals } = train
  const whole = originals ? { ...train, image: originals.image, read: originals.read } : train
  const first = await firstOf(config, whole)
  const { height, width, channels } = whole.image
  const pixels = new Uint8Array(first.length * height * width * channels)
  await whole.read(first, pixels)
  const extents = originals?.extents ? extentsAt(originals.extents, first) : null
  const made = await Promise.all(
    ([0, 1] as const).map(async (view): Promise<Raw[]> => {
      const recipe = recipeOf(views, view)
      const tensor = gpu.step(() => {
        const images = gpu.tensor(pixels, [first.length, height, width, channels])
        const within = extents && gpu.tensor(extents, [first.length, 2])
        return augment(images, recipe, { seed, step: 0, view, offset: 0 }, within)
      })
      const [, h = 0, w = 0] = tensor.shape
      const bytes = denormalised(await gpu.read(tensor), recipe.normalize)
      const each = h * w * 3
      return Array.from(first, (_, i) => ({
        pixels: bytes.subarray(i * each, (i + 1) * each),
        ...{ width: w, height: h },
      }))
    }),
  )
  const [one = [], two = []] = made
  const plain = await rawImages(train, first)
  return Promise.all(
    plain.map(async (raw, i) => ({
      image: await webp(raw, 2 * LARGE),
      one: await png(one[i] ?? raw),
      two: await png(two[i] ?? raw),
    })),
  )
}
