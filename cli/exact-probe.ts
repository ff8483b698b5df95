// A linear classifier with nothing to tune: features once, then logistic regression to convergence;
// and kNN on the same features.

import { totalmem } from 'node:os'
import { testTransform } from '../kernels/augment/recipes.ts'
import type { Dataset } from '../data/dataset.ts'
import { subsetPlaces } from '../data/select.ts'
import { counted } from '../data/words.ts'
import { recipeOf } from '../methods/views.ts'
import { type Embeddings, embed, embedSlabs, rowsAt } from '../evaluate/embed.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { knn } from '../evaluate/knn.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { predicted, scoresOf } from '../evaluate/regression.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import { UsageError } from '../training/choice.ts'
import type { Subject } from './classifier-subject.ts'
import { batchesInOrder, neighboursOf } from '../training/knn.ts'

const SHARE = 1 / 3 // of the machine's memory, for the features, of which two copies may exist

/** Finds the best linear classifier of the training images' features, and scores it on the test
 *  images. Throws UsageError for more features than the machine has memory for. */
export async function probeExactly(subject: Subject) {
  const { config, flags, train, progress } = subject
  const gpu = inF32(subject.gpu)
  const seed = flags.seed ?? config.seed
  const rows = await featuresOf(subject)
  progress.note(
    `features of ${counted(rows.M, 'training image')} are computed, ` +
      `${counted(rows.D, 'number')} each`,
  )
  const { classes } = train
  const probe = await linearProbe(gpu, rows, labelsOf(train), {
    classes: classes.length,
    seed,
    onTried: ({ lambda, heldOut }) =>
      progress.note(`lambda ${lambda}: ${heldOut.toFixed(2)}% of the training images held out`, {
        lambda,
        heldOut,
      }),
  })
  if (!probe.converged)
    progress.note(
      `the solver stopped after ${counted(probe.iterations, 'iteration')}, before its tolerance`,
    )
  const { lambda, heldOut } = probe
  const scores = new Float32Array(subject.test.size * classes.length)
  const judge = async (slab: Embeddings, at: number) => {
    const own = await scoresOf(gpu, slab, probe)
    scores.set(own, at * classes.length)
    return predicted(own, classes.length)
  }
  const { right, ...near } = await scored(subject, rows, judge)
  const accuracy = (100 * right) / subject.test.size
  return { scores, accuracy, train: train.size, lambda, heldOut, ...near }
}

/** Measures kNN on the encoder's features, with the run's bank, k and temperature. */
export async function knnOfFeatures(subject: Subject) {
  const { right: _, ...near } = await scored(subject, await featuresOf(subject), () =>
    Promise.resolve([]),
  )
  return near
}

/** Counts the test images that a classifier has right, and measures kNN on them, slab by slab. */
async function scored(
  subject: Subject,
  rows: Embeddings,
  classify: (slab: Embeddings, at: number) => Promise<ArrayLike<number>>,
) {
  const { config, train, test } = subject
  const gpu = inF32(subject.gpu)
  const indices = subsetPlaces(train, config.knn.bank ?? train.size, 0) // the bank of eval knn
  const bank = rowsAt(rows, indices)
  const labels = indices.map((i) => labelsOf(train)[i] ?? -1)
  const { k, temperature } = neighboursOf(config.knn, bank.M)
  const options = { k, temperature, classes: train.classes.length, normalized: true, gpu }
  const truth = labelsOf(test)
  let [right, near, at] = [0, 0, 0]
  for await (const slab of embedSlabs(
    subject.gpu,
    encodeOf(subject),
    batchesInOrder(test),
    imageOf(test),
  )) {
    const own = await classify(slab, at)
    const { predictions } = await knn(bank, labels, slab, options)
    for (const [i, prediction] of predictions.entries()) {
      right += Number(own[i] === truth[at + i])
      near += Number(prediction === truth[at + i])
    }
    at += slab.M
  }
  return { right, knn: (100 * near) / test.size, k, temperature, bank: bank.M }
}

/** Computes the features of the training images under the test transform. Throws UsageError for
 *  more than the machine has memory for. */
function featuresOf(subject: Subject): Promise<Embeddings> {
  const { train, encoder, kind } = subject
  const [bytes, room] = [train.size * encoder.features * 4, SHARE * totalmem()]
  if (bytes > room)
    throw new UsageError(
      `eval ${kind}: the features of ${counted(train.size, 'image')} have ${bytes} bytes, ` +
        "more than a third of this machine's memory; give --subset " +
        `${Math.floor(room / encoder.features / 4)} or less`,
    )
  return embed(subject.gpu, encodeOf(subject), batchesInOrder(train), imageOf(train))
}

/** Returns the encoder with features of length 1, as kNN compares and contrastive losses train
 *  them. */
const encodeOf = ({ config, encoder }: Subject) =>
  unitFeatures(encoder, testTransform(recipeOf(config.views, 0)))

const imageOf = ({ image: { height, width, channels } }: Dataset) =>
  [height, width, channels] as const

function labelsOf({ labels, name }: Dataset): Int32Array {
  if (!labels) throw new Error(`${name}: the images have no labels`)
  return labels
}
