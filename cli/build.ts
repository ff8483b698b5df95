// From a configuration to what trains: encoder, head, optimizer, schedule, method.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/optim/loss-scaler.ts'
import { type FlatOptimizer, type Named, Adam, Lars, Sgd } from '../engine/optim/optimizer.ts'
import {
  type Schedule,
  constant,
  cosine,
  cosineRamp,
  multiStep,
  warmup,
} from '../engine/optim/schedule.ts'
import { projectionHead } from '../models/heads.ts'
import { KeyQueue } from '../models/key-queue.ts'
import type { Model } from '../models/layers.ts'
import { MemoryBank } from '../models/memory-bank.ts'
import { mocoHead, mocoV3Head } from '../models/moco-heads.ts'
import { resnet18, resnet34, resnet50, resnet8 } from '../models/resnet.ts'
import { type Tower, forwardTower, parametersOf } from '../models/tower.ts'
import { endToEnd } from '../methods/end-to-end.ts'
import { memoryBank } from '../methods/memory-bank.ts'
import { moco } from '../methods/moco.ts'
import { mocoV3 } from '../methods/moco-v3.ts'
import type { Settings } from '../methods/presets/settings.ts'
import { simclr } from '../methods/simclr.ts'
import type { ImageBatch } from '../methods/image-batch.ts'
import type { TrainConfig } from './config.ts'
import { scalerOf } from './precision.ts'
import type { Saved } from './trainer-state.ts'

const encoders = { resnet8, resnet18, resnet34, resnet50 }

/** A method at work, and all that a checkpoint of it holds. */
export interface Trainer {
  /** One step on a batch, whose images have these places in the data set; its loss, or several
   *  numbers named by `terms`. */
  readonly step: (batch: ImageBatch, indices: IndexList) => Tensor
  readonly terms?: readonly string[]
  readonly encoder: Model
  readonly head: Model
  readonly optimizer: FlatOptimizer
  readonly schedule: Schedule
  readonly state: { step: number }
  /** Why the last step was not replayed, and how many were. */
  readonly captured: { readonly reason: string | null; readonly replays: number }
  /** What the method keeps besides. */
  readonly kept: Saved
}

type Of<M extends TrainConfig['method']> = Extract<TrainConfig, { readonly method: M }>

/** What a training runs on: the length of an epoch in steps, how many images there are, and whether
 *  steps are replayed, with the same bits. */
export interface Extent {
  readonly stepsPerEpoch: number
  readonly images: number
  readonly capture: boolean
}

/** The encoder of a run, with initial weights. */
export function buildEncoder(gpu: Gpu, { model, seed }: Pick<TrainConfig, 'model' | 'seed'>) {
  const { name, ...options } = model
  return encoders[name](gpu, { ...options, seed })
}

/** The head of a run, with initial weights; of MoCo v3 the projector. */
export function buildHead(gpu: Gpu, config: TrainConfig, features: number): Model {
  const { head, seed } = config
  if (head.style === 'v3')
    return mocoV3Head(gpu, { name: 'projector', widths: [features, head.hidden, head.dim], seed })
  if (head.style === 'leftthomas' || head.style === 'paper')
    return projectionHead(gpu, { ...head, features, seed })
  return mocoHead(gpu, { features, dim: head.dim, mlp: head.style === 'mlp', seed })
}

/** The model whose output kNN compares: the encoder, or the encoder with its head. */
export const measured = ({ knn }: Pick<TrainConfig, 'knn'>, { encoder, head }: Tower): Model =>
  knn.layer === 'embedding'
    ? {
        ...encoder,
        features: head.features,
        forward: (x, mode) => forwardTower({ encoder, head }, x, mode),
      }
    : encoder

function buildTower(gpu: Gpu, config: TrainConfig): Tower {
  const encoder = buildEncoder(gpu, config)
  return { encoder, head: buildHead(gpu, config, encoder.features) }
}

/** The method as the configuration says, at step 0. */
export const buildTrainer = (gpu: Gpu, config: TrainConfig, extent: Extent): Trainer =>
  scaled(gpu, (scaling) => methodTrainer(gpu, config, { ...extent, scaling }))

/** What scales a trainer's loss, if anything. */
export interface Scaling {
  readonly scaler?: LossScaler
}

/** The trainer that `make` makes, its loss scaled where the precision wants it, the scale being
 *  saved with the rest. */
export function scaled(gpu: Gpu, make: (scaling: Scaling) => Trainer): Trainer {
  const scaler = scalerOf(gpu)
  if (!scaler) return make({})
  const { kept, ...trainer } = make({ scaler })
  const scales = Object.entries(scaler.state).map(
    ([role, variable]) => [`scaler.${role}`, variable] as const,
  )
  const variables = { ...kept.variables, ...Object.fromEntries(scales) }
  return { ...trainer, kept: { ...kept, variables } }
}

interface Scaled extends Extent {
  readonly scaling: Scaling
}

function methodTrainer(gpu: Gpu, config: TrainConfig, extent: Scaled): Trainer {
  if (config.method === 'simclr') return simclrTrainer(gpu, config, extent)
  if (config.method === 'memory-bank') return memoryBankTrainer(gpu, config, extent)
  if (config.method === 'end-to-end') return endToEndTrainer(gpu, config, extent)
  return config.queue === null
    ? mocoV3Trainer(gpu, config, extent)
    : mocoTrainer(gpu, config, extent, config.queue)
}

/** Of a method that keeps nothing besides. */
export const nothing: Saved = { models: {}, variables: {}, counters: {} }

function simclrTrainer(gpu: Gpu, config: Of<'simclr'>, extent: Scaled): Trainer {
  const tower = buildTower(gpu, config)
  const optimizer = optimizerOf(config, parametersOf(tower))
  const schedule = scheduleOf(config, extent.stepsPerEpoch)
  const { batchNorm } = config
  return {
    ...simclr(gpu, { ...tower, optimizer, schedule, batchNorm, ...shared(config, extent) }),
    optimizer,
    schedule,
    kept: nothing,
  }
}

function mocoTrainer(gpu: Gpu, config: Of<'moco'>, extent: Scaled, K: number): Trainer {
  const [query, key] = [buildTower(gpu, config), buildTower(gpu, config)]
  const optimizer = optimizerOf(config, parametersOf(query))
  const schedule = scheduleOf(config, extent.stepsPerEpoch)
  const queue = new KeyQueue(gpu, { K, C: query.head.features, seed: config.seed })
  const { symmetric, bnSplits: splits, shuffle } = config
  const trainer = moco(gpu, {
    ...{ query, key, optimizer, schedule, queue, symmetric, splits, shuffle },
    momentum: momentumOf(config, extent),
    ...shared(config, extent),
  })
  const kept: Saved = {
    models: { 'key.': key.encoder, 'key.head.': key.head },
    variables: { queue: queue.keys },
    counters: {
      'queue.pointer': { read: () => queue.pointer, write: (pointer) => (queue.pointer = pointer) },
    },
  }
  return { ...trainer, optimizer, schedule, kept }
}

function mocoV3Trainer(gpu: Gpu, config: Of<'moco'>, extent: Scaled): Trainer {
  const [query, key] = [buildTower(gpu, config), buildTower(gpu, config)]
  const dim = query.head.features
  const hidden = config.head.style === 'v3' ? config.head.hidden : dim
  const predictor = mocoV3Head(gpu, {
    name: 'predictor',
    widths: [dim, hidden, dim],
    seed: config.seed,
  })
  const optimizer = optimizerOf(config, { ...parametersOf(query), ...predictor.parameters })
  const schedule = scheduleOf(config, extent.stepsPerEpoch)
  const trainer = mocoV3(gpu, {
    ...{ query, key, predictor, optimizer, schedule, momentum: momentumOf(config, extent) },
    ...shared(config, extent),
  })
  const models = { '': predictor, 'key.': key.encoder, 'key.head.': key.head }
  return { ...trainer, optimizer, schedule, kept: { ...nothing, models } }
}

/** What all methods take besides. */
const shared = (
  { temperature, views, chunk = null, seed }: TrainConfig,
  { capture, scaling }: Scaled,
) => ({
  ...{ temperature, views, chunk, seed, capture },
  ...scaling,
})

function memoryBankTrainer(gpu: Gpu, config: Of<'memory-bank'>, extent: Scaled): Trainer {
  const tower = buildTower(gpu, config)
  const optimizer = optimizerOf(config, parametersOf(tower))
  const schedule = scheduleOf(config, extent.stepsPerEpoch)
  const { negatives, momentum, loss } = config
  const bank = new MemoryBank(gpu, { n: extent.images, C: tower.head.features, seed: config.seed })
  const trainer = memoryBank(gpu, {
    ...{ ...tower, bank, optimizer, schedule, negatives, momentum, loss },
    ...shared(config, extent),
  })
  const variables = { 'bank.rows': bank.rows, 'bank.logZ': bank.logZ }
  return { ...trainer, optimizer, schedule, kept: { ...nothing, variables } }
}

function endToEndTrainer(gpu: Gpu, config: Of<'end-to-end'>, extent: Scaled): Trainer {
  const [query, key] = [buildTower(gpu, config), buildTower(gpu, config)]
  const keys = Object.entries(parametersOf(key)).map(
    ([name, value]) => [`key.${name}`, value] as const,
  )
  const optimizer = optimizerOf(config, { ...parametersOf(query), ...Object.fromEntries(keys) })
  const schedule = scheduleOf(config, extent.stepsPerEpoch)
  const models = { 'key.': key.encoder, 'key.head.': key.head }
  const trainer = endToEnd(gpu, { query, key, optimizer, schedule, ...shared(config, extent) })
  return { ...trainer, optimizer, schedule, kept: { ...nothing, models } }
}

function optimizerOf(
  { optimizer: { name, weightDecay } }: Settings,
  parameters: Named,
): FlatOptimizer {
  if (name === 'adam') return new Adam(parameters, { weightDecay })
  if (name === 'lars') return new Lars(parameters, { weightDecay })
  return new Sgd(parameters, { weightDecay, momentum: 0.9 })
}

const momentumOf = (
  { momentum: { start, rising: rises }, epochs }: Of<'moco'>,
  { stepsPerEpoch }: Extent,
) => (rises ? cosineRamp(start, epochs * stepsPerEpoch) : constant(start))

/** The learning rate at each step: warm-up and decay are given in epochs. */
function scheduleOf({ schedule, epochs }: Settings, stepsPerEpoch: number): Schedule {
  const { name, lr, warmupEpochs, firstEpoch = 0 } = schedule
  const [total, climb] = [epochs * stepsPerEpoch, warmupEpochs * stepsPerEpoch]
  const byEpoch = cosine(lr, epochs)
  const after = {
    constant: constant(lr),
    cosine: cosine(lr, Math.max(1, total - climb)),
    'cosine-by-epoch': (t: number) => byEpoch(Math.floor(t / stepsPerEpoch) + firstEpoch),
    step: multiStep(lr, [0.6 * total, 0.8 * total]),
  }[name]
  return climb > 0 ? warmup(climb, after) : after
}
