// Classifiers trained over epochs of augmented images, which are encoded again in each epoch. A
// sweep chooses the learning rate on held-out training images.

import { batches, countSteps } from '../data/loader.ts'
import type { Dataset } from '../data/dataset.ts'
import { select } from '../data/select.ts'
import { counted } from '../data/words.ts'
import { parted } from '../evaluate/held-out.ts'
import { UsageError } from '../training/choice.ts'
import type { EpochTraining, Subject } from './classifier-subject.ts'
import { amdimTraining } from './amdim-classifier.ts'
import { entropyOf, labelledBatches, percentRight } from './labelled-images.ts'
import { linearTraining } from './linear-training.ts'

/** Trains a classifier by epochs, and scores it on every test image. With --sweep, chooses the
 *  learning rate on held-out training images first. `trainLoss` is the cross entropy of training
 *  images after the last step, `equalLoss` that of equal scores, and `diverged` tells that the
 *  first is far above. Throws UsageError for a batch that batch norm cannot use, and Error if the
 *  loss is not finite. */
export async function trainByEpochs(subject: Subject) {
  const { flags, train, test, progress } = subject
  const whole = trainingOf(subject).batch
  if (flags.batch !== undefined && flags.batch > whole)
    progress.note(`--batch ${flags.batch} is lowered to the ${counted(whole, 'training image')}`, {
      batch: whole,
    })
  const sweep = flags.sweep === undefined ? null : await sweepRates(subject)
  const { epochs, batch, lr, scores } = await trainedBy(subject, sweep?.lr)
  progress.stop() // prints its last line before the result
  const judged = await scores(labelledBatches(test))
  const seen = spread(train)
  const trainLoss = entropyOf(await scores(labelledBatches(seen)), seen)
  const equalLoss = Math.log(train.classes.length)
  return {
    scores: judged,
    accuracy: percentRight(judged, test),
    ...{ epochs, batch, train: train.size, lr, sweep: sweep?.tried ?? null },
    ...{ trainLoss, equalLoss, diverged: !(trainLoss <= WORSE * equalLoss) },
  }
}

/** Up to 256 images, evenly from all of a set. */
function spread(set: Dataset): Dataset {
  const count = Math.min(set.size, JUDGED)
  const places = Array.from({ length: count }, (_, i) => Math.floor((i * set.size) / count))
  return select(set, places)
}

/** Returns how the subject's protocol trains. */
const trainingOf = (subject: Subject): EpochTraining =>
  subject.protocol === 'paper' || subject.protocol === 'exact'
    ? amdimTraining(subject)
    : linearTraining(subject, subject.protocol)

const JUDGED = 256 // training images that tell whether a training diverged
const WORSE = 2 // times the loss of equal scores: such a training diverged
const FACTORS = [0.1, 1 / 3, 1, 3, 10, 30] // of the usual learning rate, in a sweep

/** Trains on four fifths of each class with each learning rate, and returns the one that does best
 *  on the last fifth, the lowest of equals. Throws UsageError if no image can be held out. */
async function sweepRates(subject: Subject) {
  const { config, flags, train, progress } = subject
  const { fit, held } = parted(train.labels ?? [], flags.seed ?? config.seed)
  if (held.length === 0)
    throw new UsageError(
      '--sweep: needs a class of two training images or more to hold one out, got none; leave it out',
    )
  const { batch, lr: usual } = trainingOf(subject)
  const part = { ...subject, train: select(train, fit), flags: { ...flags, batch } }
  const others = select(train, held)
  const rates =
    flags.sweep === true || !flags.sweep
      ? FACTORS.map((factor) => Number((factor * usual).toPrecision(2)))
      : [...flags.sweep]
  const tried: { readonly lr: number; readonly heldOut: number | null }[] = []
  for (const lr of rates.sort((a, b) => a - b)) tried.push(await triedRate(part, lr, others))
  const best = tried.reduce((a, b) => ((b.heldOut ?? -1) > (a.heldOut ?? -1) ? b : a))
  if (best.heldOut === null)
    throw new Error('--sweep: the loss became infinite with every learning rate; give lower ones')
  progress.note(`learning rate ${best.lr} is chosen`, { lr: best.lr })
  return { lr: best.lr, tried }
}

/** Trains at a learning rate, and measures the accuracy in percent on images that were held out;
 *  null where the loss is not finite. */
async function triedRate(part: Subject, lr: number, others: Subject['train']) {
  const { progress } = part
  try {
    const { scores } = await trainedBy(part, lr)
    const heldOut = percentRight(await scores(labelledBatches(others)), others)
    progress.note(`learning rate ${lr}: ${heldOut.toFixed(2)}% of the training images held out`, {
      lr,
      heldOut,
    })
    return { lr, heldOut }
  } catch (error) {
    if (!(error instanceof InfiniteLoss)) throw error
    progress.note(`learning rate ${lr}: the loss became ${error.loss}`, { lr, heldOut: null })
    return { lr, heldOut: null }
  }
}

/** A training whose loss is not finite. */
class InfiniteLoss extends Error {
  readonly loss: number

  constructor(loss: number) {
    super(`the loss became ${loss}; lower --lr`)
    this.loss = loss
  }
}

/** Trains a new classifier to its last epoch, at a learning rate or the usual one. */
async function trainedBy(subject: Subject, rate?: number) {
  const { gpu, config, flags, train, progress } = subject
  const seed = flags.seed ?? config.seed
  const training = trainingOf(subject)
  const { epochs, batch, dropLast } = training
  const lr = rate ?? training.lr
  const stepsPerEpoch = countSteps(train, { batch, dropLast })
  const made = training.begin(lr, stepsPerEpoch)
  const { step, state } = made
  progress.start(epochs * stepsPerEpoch)
  for (let epoch = 0; epoch < epochs; epoch++)
    for await (const { images, labels } of batches(train, { batch, seed, epoch, dropLast })) {
      if (!labels) throw new Error('no labels')
      const [loss = NaN] = await gpu.read(step({ images, labels }))
      if (!Number.isFinite(loss)) throw new InfiniteLoss(loss)
      progress.update(state.step, { loss, images: labels.length })
    }
  return { ...made, epochs, batch, lr }
}
