// kindred eval linear, kindred eval mlp: classifiers on a run's frozen encoder, scored on every
// test image, beside kNN.

import type { Dataset, Split } from '../data/dataset.ts'
import { labelled, select } from '../data/select.ts'
import { counted } from '../data/words.ts'
import { UsageError } from '../training/choice.ts'
import type { ClassifierFlags, ClassifierKind, Protocol, Subject } from './classifier-subject.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { findSource } from './data-source.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { knnOfFeatures, probeExactly } from './exact-probe.ts'
import { checkMeasurable } from './data-summary.ts'
import { type EvalReport, classMeasures, reportLines } from './eval-report.ts'
import { featureMeasures } from './feature-measures.ts'
import { closeImages, openRunImages } from './images.ts'
import type { Progress } from '../training/progress.ts'
import { startProgress } from './progress.ts'
import { trainByEpochs } from './epoch-classifier.ts'
import { openRunGpu } from './gpu-options.ts'
import { runConfig } from './place.ts'
import { placesOfList } from './see/labelled-list.ts'
import { picturesOf } from './see/pictures.ts'
import { readRun } from './runs.ts'
import { networksOf } from '../training/encoder.ts'
import { trainingImages } from '../training/prepare.ts'

/** Returns the protocol of a classifier. An option of training by epochs chooses 'paper'. Throws
 *  UsageError for such an option beside --protocol exact. */
function protocolOf(kind: ClassifierKind, { protocol, ...flags }: ClassifierFlags): Protocol {
  const ofEpochs = [
    ...(['epochs', 'batch', 'lr'] as const).filter((name) => flags[name] !== undefined),
    ...(flags.augment === false ? ['no-augment'] : []),
    ...(flags.sweep === undefined ? [] : ['sweep']),
  ]
  const [first] = ofEpochs
  if (protocol === 'exact' && first !== undefined)
    throw new UsageError(
      `--protocol exact has no epochs, batches or learning rate; leave out --${first}, or ` +
        'give another protocol',
    )
  if (flags.sweep !== undefined && flags.lr !== undefined)
    throw new UsageError('--sweep chooses the learning rate; leave out --lr or --sweep')
  if (flags.labelled !== undefined && flags.subset !== undefined)
    throw new UsageError(
      '--labelled names the images to train on; leave out --subset or --labelled',
    )
  return protocol ?? (kind === 'mlp' || first !== undefined ? 'paper' : 'exact')
}

/** Trains a classifier on the run's encoder, prints its accuracy, and returns the exit code. Throws
 *  Error in words. */
export async function evalClassifier(
  kind: ClassifierKind,
  dir: string,
  flags: ClassifierFlags,
): Promise<number> {
  const protocol = protocolOf(kind, flags)
  const run = await readRun(dir)
  const config = runConfig(run)
  const saved = await checkpointOf(run, flags.checkpoint)
  const { metadata } = saved
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags, { precision: config.precision })
  try {
    const { size, seed, views } = config
    const data = flags.data ?? findSource(config, dir)
    const split = await openRunImages({ data, size, seed, views }, progress)
    checkMeasurable(`eval ${kind}`, data, split)
    const images = await imagesOf(config, split, { flags, metadata })
    const { model: encoder, load } = networksOf(gpu, config, 'features')
    load(saved)
    const subject = { gpu, kind, protocol, config, encoder, flags, ...images, progress }
    const { scores, ...result } = await (protocol === 'exact' ? probeExactly : byEpochs)(subject)
    const measures = flags.report ? { report: await reportOf(subject, scores) } : {}
    const about = { run: dir, step: stepOf(metadata), kind, protocol, test: images.test.size }
    report({ ...about, ...result, ...measures }, progress)
    await closeImages(split)
    return 0
  } finally {
    progress.stop()
    gpu.destroy()
  }
}

/** Options and checkpoint, which choose the images. */
interface Choice {
  readonly flags: ClassifierFlags
  /** Metadata of the checkpoint. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Returns the labelled images that train the classifier and those that score it. */
async function imagesOf(
  config: TrainConfig,
  split: Split,
  { flags, metadata }: Choice,
): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  const test = labelled(split.test)
  if (flags.labelled !== undefined) return { train: await namedIn(flags.labelled, split), test }
  const all = labelled(await trainingImagesOf(config, split, { data: flags.data, metadata }))
  const part = { subset: flags.subset ?? null, seed: flags.seed ?? config.seed }
  return { train: trainingImages(part, { train: all }), test }
}

/** Returns the training images that a file names. Throws Error for a line that names none, and
 *  UsageError where none of them has a label. */
async function namedIn(path: string, split: Split): Promise<Dataset> {
  const images = picturesOf(split, 'train')
  const places = await placesOfList(path, images, picturesOf(split, 'test'))
  const named = labelled(select(images.set, places))
  if (named.size > 0) return named
  throw new UsageError(`--labelled: ${path} must name a training image with a label, got none`)
}

/** Makes the report of a classifier's scores and of the encoder's features. */
async function reportOf({ gpu, encoder, config, test }: Subject, scores: Float32Array) {
  return {
    ...classMeasures({ scores }, test),
    ...(await featureMeasures(gpu, encoder, config, test)),
  }
}

/** Trains a classifier by epochs, and measures kNN beside it. */
async function byEpochs(subject: Subject) {
  const trained = await trainByEpochs(subject)
  return { ...trained, ...(await knnOfFeatures(subject)) }
}

/** Accuracies of a classifier and of kNN, in percent, and how they were measured. */
interface Result {
  readonly run: string
  /** Step of the checkpoint; null if the file has none. */
  readonly step: number | null
  readonly kind: ClassifierKind
  readonly protocol: Protocol
  /** Number of images. */
  readonly train: number
  readonly test: number
  readonly accuracy: number
  readonly epochs?: number
  readonly batch?: number
  readonly lambda?: number
  readonly heldOut?: number | null
  readonly lr?: number
  /** Learning rates of --sweep with their accuracies on held-out images, null where the loss was
   *  not finite; null without it. */
  readonly sweep?: readonly { readonly lr: number; readonly heldOut: number | null }[] | null
  /** Cross entropy of training images after the last epoch, that of equal scores, and whether the
   *  first is far above. */
  readonly trainLoss?: number
  readonly equalLoss?: number
  readonly diverged?: boolean
  /** What --report adds. */
  readonly report?: EvalReport
  /** kNN accuracy on the same features, with the run's bank, k and temperature. */
  readonly knn: number
  readonly k: number
  readonly temperature: number
  readonly bank: number
}

/** Prints a result, with a remedy if it is below kNN. */
function report(result: Result, progress: Progress) {
  const { kind, step, accuracy, test, train, epochs, lambda, heldOut, knn, k, temperature, bank } =
    result
  const chosen =
    heldOut === null || heldOut === undefined
      ? 'the default, as no image can be held out'
      : `chosen on a fifth of them held out, ${heldOut.toFixed(2)}%`
  const how =
    epochs === undefined
      ? `logistic regression on the features of ${counted(train, 'labelled one')}; lambda ` +
        `${lambda}, ${chosen}`
      : `${counted(epochs, 'epoch')} on ${counted(train, 'labelled one')}, last epoch${
          result.sweep ? `; learning rate ${result.lr}, chosen on a fifth of them held out` : ''
        }`
  const below = accuracy < knn
  const at = step === null ? '' : ` of step ${step}`
  const all = test === 1 ? 'the 1 test image' : `all ${test} test images`
  const lines = [
    `${kind} classifier on the frozen encoder${at}: ${accuracy.toFixed(2)}% of ${all} (${how})`,
    `kNN on the same features: ${knn.toFixed(2)}% (k ${k}, temperature ${temperature}, ` +
      `${counted(bank, 'neighbour')} to choose from)`,
    ...(result.diverged ? [divergence(result)] : []),
    ...(below && !result.diverged
      ? [`this ${kind} classifier is below kNN: ${reasonOf(result)}`]
      : []),
    ...(result.report ? reportLines(result.report) : []),
  ]
  progress.note(lines.join('\n'), { ...result, belowKnn: below })
}

/** Returns why a classifier may do worse than kNN, and the remedy. */
function reasonOf({ protocol, kind, sweep, lr }: Result): string {
  if (protocol === 'exact')
    return 'no plane separates these classes as well as their neighbours do; report both numbers'
  const isHighest = sweep?.every((tried) => tried.lr <= (lr ?? Infinity)) ?? true
  const rates = sweep ? 'higher rates to --sweep' : 'a higher --lr'
  return (
    `its training is not at its end; give it more --epochs${isHighest ? ` or ${rates}` : ''}` +
    (kind === 'linear' ? ', or --protocol exact, which needs neither' : '')
  )
}

/** Says that a training diverged, and the remedy. */
const divergence = ({ kind, trainLoss = NaN, equalLoss = NaN, lr, sweep }: Result) =>
  `this ${kind} classifier diverged: its loss on training images ended at ` +
  `${Number(trainLoss.toPrecision(3))}, and equal scores have ${equalLoss.toPrecision(3)}; ` +
  `learning rate ${lr} is too high, give ${sweep ? 'lower rates to --sweep' : 'a lower --lr'}`
