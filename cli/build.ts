// From a configuration to what trains: encoder, head, optimizer, schedule, method, and their saved state.

import type { Tensor } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import { type Optimizer, Adam, Lars } from '../engine/optimizer.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { type Schedule, constant, cosine, warmup } from '../engine/schedule.ts'
import { projectionHead } from '../models/heads.ts'
import { resnet18, resnet34, resnet50, resnet8 } from '../models/resnet.ts'
import type { Model } from '../models/layers.ts'
import { loadModel, saveModel } from '../models/state.ts'
import { type ImageBatch, simclr } from '../methods/simclr.ts'
import type { TrainConfig } from './config.ts'

const encoders = { resnet8, resnet18, resnet34, resnet50 }

/** A method at work, and all that a checkpoint of it holds. */
export interface Trainer {
  /** One step on a batch, whose labels are null where there are none: its loss [], or [n] named by `terms`. */
  readonly step: (batch: ImageBatch, labels: Int32Array | null) => Tensor
  readonly terms?: readonly string[]
  readonly encoder: Model
  readonly head: Model
  readonly optimizer: Optimizer
  readonly schedule: Schedule
  readonly state: { step: number }
  readonly captured: { readonly reason: string | null; readonly replays: number }
}

/** The encoder of a run, with initial weights. */
export const buildEncoder = (gpu: Gpu, { model, seed }: Pick<TrainConfig, 'model' | 'seed'>) =>
  encoders[model.name](gpu, { ...model, seed })

/** SimCLR as the configuration says, at step 0; `capture` false runs every step one by one, to the same bits. */
export function buildTrainer(gpu: Gpu, config: TrainConfig, stepsPerEpoch: number, capture = true): Trainer {
  const encoder = buildEncoder(gpu, config)
  const head = projectionHead(gpu, { ...config.head, features: encoder.features, seed: config.seed })
  const parameters = { ...encoder.parameters, ...head.parameters }
  const { weightDecay } = config.optimizer
  const optimizer =
    config.optimizer.name === 'adam'
      ? new Adam(parameters, { weightDecay })
      : new Lars(parameters, { weightDecay })
  const schedule = scheduleOf(config, stepsPerEpoch)
  return { ...simclr(gpu, { ...config, encoder, head, optimizer, schedule, capture }), schedule }
}

/** The learning rate at each step: warm-up and decay are given in epochs. */
function scheduleOf({ schedule, epochs }: TrainConfig, stepsPerEpoch: number): Schedule {
  const [total, climb] = [epochs * stepsPerEpoch, schedule.warmupEpochs * stepsPerEpoch]
  const after =
    schedule.name === 'cosine' ? cosine(schedule.lr, Math.max(1, total - climb)) : constant(schedule.lr)
  return climb > 0 ? warmup(climb, after) : after
}

const OPTIMIZER = 'optimizer.'

/** Everything a run needs to go on as if it had never stopped. */
export async function saveTrainer(gpu: Gpu, { encoder, head, optimizer, state }: Trainer) {
  const tensors = new Map<string, SavedTensor>([
    ...(await saveModel(gpu, encoder)),
    ...(await saveModel(gpu, head)),
  ])
  for (const [role, saved] of await snapshot(gpu, optimizer.state)) tensors.set(OPTIMIZER + role, saved)
  return { tensors, metadata: { step: String(state.step), 'optimizer.t': String(optimizer.t) } }
}

/** Puts a trainer back to where `saveTrainer` left it. Throws Error naming what does not fit. */
export function loadTrainer(
  gpu: Gpu,
  { encoder, head, optimizer, state }: Trainer,
  {
    tensors,
    metadata,
  }: { tensors: ReadonlyMap<string, SavedTensor>; metadata: Readonly<Record<string, string>> },
) {
  const roles = [...tensors].filter(([name]) => name.startsWith(OPTIMIZER))
  loadModel(gpu, encoder, tensors)
  loadModel(gpu, head, tensors)
  restore(gpu, optimizer.state, new Map(roles.map(([name, saved]) => [name.slice(OPTIMIZER.length), saved])))
  optimizer.t = Number(metadata['optimizer.t'])
  state.step = Number(metadata['step'])
}
