// kindred eval linear, kindred eval mlp: classifiers trained on a run's frozen encoder, and scored on every test image.

import type { Command } from 'commander'
import { type Recipe, testTransform } from '../kernels/augment-recipes.ts'
import { augment } from '../kernels/augment.ts'
import { type Dataset, labelled } from '../data/dataset.ts'
import { batches, steps } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { load } from '../engine/node-files.ts'
import { Adam } from '../engine/optimizer.ts'
import { recipeOf } from '../methods/views.ts'
import { classifiers } from '../models/classifiers.ts'
import type { Model } from '../models/layers.ts'
import { loadModel } from '../models/state.ts'
import { classifier } from '../evaluate/classify.ts'
import { fittingBatch } from './batch.ts'
import { UsageError } from './choice.ts'
import { command } from './command.ts'
import type { AmdimConfig, AnyConfig } from './config.ts'
import { findSource } from './data-source.ts'
import { encoderOf } from './encoder.ts'
import { trainingImagesOf } from './eval-images.ts'
import { closeImages, openImages } from './images.ts'
import { startProgress } from './progress.ts'
import { count, positive, whole } from './numbers.ts'
import { openRunGpu } from './precision.ts'
import { runConfig } from './place.ts'
import { openRun } from './run-folder.ts'
import { amdimSchedule } from './train-amdim.ts'
import { sources } from './train-options.ts'

export interface ClassifierFlags {
  readonly data?: string
  readonly checkpoint?: string
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
type Kind = 'linear' | 'mlp'

/** How AMDIM's authors train classifiers on a frozen encoder: of runs that say nothing else. */
const usual = {
  evaluation: { epochs: 120, milestones: [80, 110] },
  classifiers: { hidden: 1024, dropout: 0.2 },
  schedule: { name: 'step', lr: 2e-4, warmupSteps: 500, milestones: [], gamma: 0.2 },
} as const satisfies Pick<AmdimConfig, 'evaluation' | 'classifiers' | 'schedule'>

/** How a classifier is trained: the run's own settings, its milestones moved with the epochs. */
function settingsOf(config: AnyConfig, flags: ClassifierFlags) {
  const { evaluation, classifiers: shape, schedule } = config.method === 'amdim' ? config : usual
  const epochs = flags.epochs ?? evaluation.epochs
  const milestones = evaluation.milestones.map((epoch) => (epoch * epochs) / evaluation.epochs)
  return { epochs, shape, schedule: { ...schedule, lr: flags.lr ?? schedule.lr, milestones } }
}

/** Trains a classifier on the run's encoder, prints its accuracy, and returns the exit code. Throws Error in words. */
export async function evalClassifier(kind: Kind, dir: string, flags: ClassifierFlags): Promise<number> {
  const run = await openRun(dir)
  const config = runConfig(run)
  const found =
    flags.checkpoint === undefined ? (await run.latest()).checkpoint : await load(flags.checkpoint)
  if (!found) throw new UsageError(`${dir} has no checkpoint yet; let the training reach its first`)
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags.adapter, { precision: config.precision })
  try {
    const images = { data: flags.data ?? findSource(config, dir), size: config.size, seed: config.seed }
    const data = await openImages(images, progress)
    const asked = { data: flags.data, metadata: found.metadata }
    const train = labelled(await trainingImagesOf(config, data, asked))
    if (!train.labels || data.test.size === 0)
      throw new UsageError(
        `eval ${kind}: needs labelled training and test images, and ${images.data} has none`,
      )
    const encoder = encoderOf(gpu, config)
    loadModel(gpu, encoder, found.tensors)
    const { accuracy, epochs } = await fit(gpu, { kind, config, encoder, flags }, train, data.test, progress)
    progress.stop() // its last line comes before the result
    const step = Number(found.metadata['step'])
    const result = { run: dir, step, kind, epochs, train: train.size, test: data.test.size, accuracy }
    progress.note(
      `${kind} classifier on the frozen encoder of step ${step}: ${accuracy.toFixed(2)}% of all ${data.test.size} test images (${epochs} epochs on ${train.size} labelled ones, last epoch)`,
      result,
    )
    await closeImages(data)
    return 0
  } finally {
    progress.stop()
    gpu.destroy()
  }
}

interface Fit {
  readonly kind: Kind
  readonly config: AnyConfig
  readonly encoder: Model
  readonly flags: ClassifierFlags
}

async function fit(
  gpu: Gpu,
  { kind, config, encoder, flags }: Fit,
  train: Dataset,
  test: Dataset,
  progress: ReturnType<typeof startProgress>,
) {
  const seed = flags.seed ?? config.seed
  const { epochs, schedule, shape } = settingsOf(config, flags)
  const batch = flags.batch ?? fittingBatch(config.batch, train.size)
  if (kind === 'mlp' && batch < 2)
    throw new UsageError(`--batch: the MLP's batch norm needs 2 images or more at a time, got ${batch}`)
  const stepsPerEpoch = steps(train, { batch })
  const heads = classifiers(gpu, {
    features: encoder.features,
    classes: train.classes.length,
    ...shape,
    seed,
  })
  const { height, width, channels } = train.image
  const tested = testTransform(recipeOf(config.views, 0))
  const views: Recipe = flags.augment === false ? tested : recipeOf(config.views, 0)
  const { step, accuracy, state } = classifier(gpu, {
    features: (x, at) =>
      encoder.forward(
        at === null
          ? augment(x, tested, { seed: 0, step: 0, view: 0 })
          : augment(x, views, { seed, step: at, view: 0 }),
        { training: false },
      ),
    classify: heads[kind],
    optimizer: new Adam(heads.parameters, { betas: [0.8, 0.999], weightDecay: 1e-5 }),
    schedule: amdimSchedule({ schedule: climbing(schedule, epochs * stepsPerEpoch) }, stepsPerEpoch),
    image: [height, width, channels],
  })
  progress.start(epochs * stepsPerEpoch)
  for (let epoch = 0; epoch < epochs; epoch++)
    for await (const { images, labels } of batches(train, { batch, seed, epoch })) {
      if (!labels) throw new Error('no labels')
      const [loss = NaN] = await gpu.read(step({ images, labels }))
      if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}; lower --lr`)
      progress.update(state.step, { loss, images: batch })
    }
  return { accuracy: await accuracy(inOrder(test)), epochs }
}

/** The schedule with a climb of at most a tenth of all steps: evaluations may be short. */
const climbing = (schedule: AmdimConfig['schedule'], total: number) => ({
  ...schedule,
  warmupSteps: Math.min(schedule.warmupSteps, Math.ceil(total / 10)),
})

/** Every image, in order, the last few too. */
async function* inOrder(dataset: Dataset) {
  const all = { batch: Math.min(256, dataset.size), seed: 0, epoch: 0, shuffle: false, dropLast: false }
  for await (const { images, labels } of batches(dataset, all)) {
    if (!labels) throw new Error(`${dataset.name}: the test images have no labels`)
    yield { images, labels }
  }
}

/** Adds `kindred eval linear` and `kindred eval mlp`, and returns them. */
export function addClassifiers(evaluate: Command): { readonly kind: Kind; readonly command: Command }[] {
  const about = {
    linear: 'train a linear classifier on the frozen encoder, and score it on every test image',
    mlp: 'train a classifier with one hidden layer on the frozen encoder, and score it on every test image',
  }
  return (['linear', 'mlp'] as const).map((kind) => ({
    kind,
    command: evaluate
      .command(kind)
      .argument('<run>', 'run folder of a training')
      .description(about[kind])
      .option('--data <source>', `another data set than the run's: ${sources}`)
      .option('--checkpoint <file>', 'a checkpoint of the run (default: the newest)')
      .option(
        '--epochs <n>',
        "times through the labelled images (default: the preset's, 120 as AMDIM's authors)",
        count,
      )
      .option('--batch <n>', "images per step (default: the run's)", count)
      .option('--lr <rate>', 'learning rate, before warm-up and decay', positive)
      .option('--seed <n>', "everything random follows from it (default: the run's)", whole)
      .option('--no-augment', 'train on images as they are tested, not on augmented ones')
      .option('--adapter <name>', "part of the GPU's name, to choose among several")
      .option('--json', 'print machine-readable lines only')
      .addHelpText('after', `\nExample:\n  ${command('eval', kind, 'runs/amdim')}`),
  }))
}
