// kindred eval linear, kindred eval mlp: classifiers on a run's frozen encoder, scored on every
// test image, beside kNN.

import { type Command, Option } from 'commander'
import type { Dataset } from '../data/dataset.ts'
import { labelled } from '../data/select.ts'
import { counted } from '../data/words.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Model } from '../models/model.ts'
import { methodOf } from '../methods/registry.ts'
import { loadModel } from '../models/state.ts'
import { UsageError } from '../training/choice.ts'
import { command as commandLine } from './command.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { findSource } from './data-source.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { knnOfFeatures, probeExactly } from './exact-probe.ts'
import { checkMeasurable } from './data-summary.ts'
import { closeImages, openRunImages } from './images.ts'
import type { Progress } from '../training/progress.ts'
import { startProgress } from './progress.ts'
import { readCount, readPositive, readInteger } from './numbers.ts'
import { trainByEpochs } from './paper-classifier.ts'
import { openRunGpu } from './precision.ts'
import { runConfig } from './place.ts'
import { readRun } from './runs.ts'
import { sources } from './train-options.ts'
import { trainingImages } from '../training/prepare.ts'

export interface ClassifierFlags {
  readonly data?: string
  readonly checkpoint?: string
  /** How a linear classifier is found. */
  readonly protocol?: Protocol
  /** How many labelled images it is trained on. */
  readonly subset?: number
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly seed?: number
  /** False trains on images as they are tested, not on augmented ones. */
  readonly augment?: boolean
  readonly adapter?: string
  readonly json?: boolean
}

/** Which classifier. */
export type ClassifierKind = 'linear' | 'mlp'

/** exact: logistic regression of features, to convergence; paper: by epochs, as AMDIM's authors. */
export type Protocol = 'exact' | 'paper'

/** A classifier's encoder, its images, and how it is asked for. */
export interface Subject {
  readonly gpu: Gpu
  readonly kind: ClassifierKind
  readonly config: TrainConfig
  readonly encoder: Model
  readonly flags: ClassifierFlags
  readonly train: Dataset
  readonly test: Dataset
  readonly progress: Progress
}

/** How the classifier is found. What only training by epochs knows chooses that. Throws
 *  UsageError. */
function protocolOf(kind: ClassifierKind, { protocol, ...flags }: ClassifierFlags): Protocol {
  const given = [
    ...(['epochs', 'batch', 'lr'] as const).filter((name) => flags[name] !== undefined),
    ...(flags.augment === false ? ['no-augment'] : []),
  ]
  const [first] = given
  if (protocol === 'exact' && first !== undefined)
    throw new UsageError(
      `--protocol exact has no epochs, batches or learning rate; leave out --${first}, or give --protocol paper`,
    )
  return protocol ?? (kind === 'mlp' || first !== undefined ? 'paper' : 'exact')
}

/** Finds a classifier for the run's encoder, prints its accuracy, and returns the exit code. Throws
 *  Error in words. */
export async function evalClassifier(
  kind: ClassifierKind,
  dir: string,
  flags: ClassifierFlags,
): Promise<number> {
  const protocol = protocolOf(kind, flags)
  const run = await readRun(dir)
  const config = runConfig(run)
  const found = await checkpointOf(run, flags.checkpoint)
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags.adapter, { precision: config.precision })
  try {
    const { size, seed, views } = config
    const images = { data: flags.data ?? findSource(config, dir), size, seed, views }
    const data = await openRunImages(images, progress)
    checkMeasurable(`eval ${kind}`, images.data, data)
    const asked = { data: flags.data, metadata: found.metadata }
    const all = labelled(await trainingImagesOf(config, data, asked))
    const train = trainingImages(
      { subset: flags.subset ?? null, seed: flags.seed ?? config.seed },
      { ...data, train: all },
    )
    const test = labelled(data.test)
    const encoder = methodOf(config.method).encoder(gpu, config)
    loadModel(gpu, encoder, found.tensors)
    const subject = { gpu, kind, config, encoder, flags, train, test, progress }
    const result = protocol === 'exact' ? await probeExactly(subject) : await byEpochs(subject)
    tell(
      {
        run: dir,
        step: stepOf(found.metadata),
        kind,
        protocol,
        test: test.size,
        ...result,
      },
      progress,
    )
    await closeImages(data)
    return 0
  } finally {
    progress.stop()
    gpu.destroy()
  }
}

/** A classifier trained by epochs, and kNN beside it. */
async function byEpochs(subject: Subject) {
  const trained = await trainByEpochs(subject)
  return { ...trained, ...(await knnOfFeatures(subject)) }
}

/** What was measured. Accuracies are in percent. */
interface Result {
  readonly run: string
  /** Null where the checkpoint says no step. */
  readonly step: number | null
  readonly kind: ClassifierKind
  readonly protocol: Protocol
  readonly train: number
  readonly test: number
  readonly accuracy: number
  readonly epochs?: number
  readonly lambda?: number
  readonly heldOut?: number | null
  /** kNN on the same features, with the run's bank, k and temperature. */
  readonly knn: number
  readonly k: number
  readonly temperature: number
  readonly bank: number
}

function tell(result: Result, progress: Progress) {
  const { kind, step, accuracy, test, train, epochs, lambda, heldOut, knn, k, temperature, bank } =
    result
  const chosen =
    heldOut === null || heldOut === undefined
      ? 'as it is where none can be held out'
      : `chosen on a fifth of them held out, ${heldOut.toFixed(2)}%`
  const how =
    epochs === undefined
      ? `logistic regression on the features of ${counted(train, 'labelled one')}; lambda ${lambda}, ${chosen}`
      : `${counted(epochs, 'epoch')} on ${counted(train, 'labelled one')}, last epoch`
  const below = accuracy < knn
  const lines = [
    `${kind} classifier on the frozen encoder of step ${step}: ${accuracy.toFixed(2)}% of ${test === 1 ? 'the 1 test image' : `all ${test} test images`} (${how})`,
    `kNN on the same features: ${knn.toFixed(2)}% (k ${k}, temperature ${temperature}, ${counted(bank, 'neighbour')} to choose from)`,
    ...(below ? [`this ${kind} classifier is below kNN: ${reasonOf(result)}`] : []),
  ]
  progress.note(lines.join('\n'), { ...result, belowKnn: below })
}

/** Why a classifier may do worse than kNN, and what to do about it. */
const reasonOf = ({ protocol, kind }: Result) =>
  protocol === 'exact'
    ? 'no plane separates these classes as well as their neighbours tell them; report both numbers'
    : `its training is not at its end; give it more --epochs or a higher --lr${kind === 'linear' ? ', or --protocol exact, which needs neither' : ''}`

/** Adds `kindred eval linear` and `kindred eval mlp`, and returns them. */
export function addClassifiers(
  evaluate: Command,
): { readonly kind: ClassifierKind; readonly command: Command }[] {
  const about = {
    linear:
      'find the best linear classifier on the frozen encoder, and score it on every test image, beside kNN',
    mlp: 'train a classifier with one hidden layer on the frozen encoder, and score it on every test image, beside kNN',
  }
  return (['linear', 'mlp'] as const).map((kind) => ({
    kind,
    command: trainingOptions(
      common(
        evaluate
          .command(kind)
          .argument('<run>', 'run folder of a training')
          .description(about[kind]),
        kind,
      ),
    ).addHelpText('after', kind === 'linear' ? linearHelp : mlpHelp),
  }))
}

function common(command: Command, kind: ClassifierKind): Command {
  const protocol = new Option(
    '--protocol <name>',
    'how the classifier is found, see below',
  ).choices(['exact', 'paper'])
  if (kind === 'linear') command.addOption(protocol)
  return command
    .option('--data <source>', `another data set than the run's: ${sources()}`)
    .option('--checkpoint <file>', 'a checkpoint of the run (default: the newest)')
    .option(
      '--subset <n>',
      'train on this many labelled images, as equal in class as they come (default: all)',
      readCount,
    )
    .option('--seed <n>', "everything random follows from it (default: the run's)", readInteger)
    .option('--adapter <name>', "part of the GPU's name, to choose among several")
    .option('--json', 'print machine-readable lines only')
}

const trainingOptions = (command: Command) =>
  command
    .option(
      '--epochs <n>',
      "times through the labelled images (default: the preset's, 120 as AMDIM's authors)",
      readCount,
    )
    .option('--batch <n>', "images per step (default: the run's)", readCount)
    .option('--lr <rate>', 'learning rate, before warm-up and decay', readPositive)
    .option('--no-augment', 'train on images as they are tested, not on augmented ones')

const linearHelp = `
Protocols (--protocol):
  exact  the default: features of each image are computed once, as it is tested, made unit rows
         and standardised; logistic regression then has one best answer, found in seconds. Its
         strength of regularisation (lambda) is chosen on a fifth of the training images, held
         out; no test image is seen before the score.
  paper  as AMDIM's authors: dropout and Adam over epochs of augmented images, for numbers
         comparable with theirs. It takes --epochs, --batch, --lr and --no-augment, and each of
         these chooses it.

kNN on the same features is printed beside it; a classifier below it is said to be.

Examples:
  ${commandLine('eval', 'linear', 'runs/cifar')}
  ${commandLine('eval', 'linear', 'runs/amdim', '--protocol', 'paper', '--epochs', '120')}`

const mlpHelp = `
As AMDIM's authors: dropout and Adam over epochs of augmented images.

Example:
  ${commandLine('eval', 'mlp', 'runs/amdim')}`
