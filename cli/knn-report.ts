// What kindred eval knn does beyond its three rows: it chooses k and temperature on held-out
// training images, and reports on each class.

import { testTransform } from '../kernels/augment/recipes.ts'
import type { Dataset, Split } from '../data/dataset.ts'
import { labelled } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type ChosenNeighbours, chooseNeighbours } from '../evaluate/choose-neighbours.ts'
import { embed } from '../evaluate/embed.ts'
import { knn } from '../evaluate/knn.ts'
import type { KnnResult } from '../evaluate/knn-result.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import type { LoadedFile } from '../run-folder/saved-encoder.ts'
import { networksOf } from '../training/encoder.ts'
import {
  type KnnSettings,
  atMost,
  batchesInOrder,
  knownLabels,
  neighboursOf,
} from '../training/knn.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { type EvalReport, classMeasures } from './eval-report.ts'
import { featureMeasures } from './feature-measures.ts'

/** A run's encoder, with the images that vote and those that are classified. */
interface KnnSubject {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly halves: Pick<Split, 'train' | 'test'>
  readonly saved: LoadedFile
}

/** Chooses k and temperature for the trained encoder, among the neighbours of --bank alone. */
export async function chosenFor(subject: KnnSubject, options: KnnSettings) {
  const { gpu, config, halves } = subject
  const bank = atMost(labelled(halves.train), options.bank)
  const rows = await featuresBy(subject, encoderOf(subject), bank)
  const how = { classes: bank.classes.length, seed: config.seed, normalized: true }
  return chooseNeighbours(gpu, rows, knownLabels(bank), how)
}

/** Returns the chosen k and temperature. */
export const voteOf = ({ k, temperature }: ChosenNeighbours) => ({ k, temperature })

/** Classifies the test images by the trained encoder's features, and reports on each class. */
export async function knnReport(subject: KnnSubject, options: KnnSettings): Promise<EvalReport> {
  const { gpu, config, halves } = subject
  const encoder = encoderOf(subject)
  const bank = atMost(labelled(halves.train), options.bank)
  const queries = atMost(labelled(halves.test), options.queries)
  const vote = { ...neighboursOf(options, bank.size), classes: bank.classes.length }
  const rows = await featuresBy(subject, encoder, bank)
  const asked = await featuresBy(subject, encoder, queries)
  const judged = await knn(rows, knownLabels(bank), asked, { ...vote, normalized: true, gpu })
  const { predictions } = judged
  return {
    ...classMeasures({ scores: sharesOf(judged, vote.classes), predictions }, queries),
    ...(await featureMeasures(gpu, encoder, config, queries)),
  }
}

/** Returns each image's votes as shares, so that those of two images compare. Votes beyond f32 are
 *  all of the predicted class. */
function sharesOf({ scores, predictions }: KnnResult, C: number): Float32Array {
  return scores.map((score, i) => {
    const row = Math.floor(i / C)
    const total = scores.subarray(row * C, (row + 1) * C).reduce((a, b) => a + b, 0)
    return Number.isFinite(total) && total > 0 ? score / total : Number(predictions[row] === i % C)
  })
}

function encoderOf({ gpu, config, saved }: KnnSubject): Model {
  const { model, load } = networksOf(gpu, config)
  load(saved)
  return model
}

function featuresBy({ gpu, config }: KnnSubject, encoder: Model, images: Dataset) {
  const { height, width, channels } = images.image
  const encode = unitFeatures(encoder, testTransform(recipeOf(config.views, 0)))
  return embed(gpu, encode, batchesInOrder(images), [height, width, channels])
}
