// From a configuration to what trains: encoder, head, optimizer, schedule, method, and their saved state.

import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import { Adam, Lars } from '../engine/optimizer.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { type Schedule, constant, cosine, warmup } from '../engine/schedule.ts'
import { projectionHead } from '../models/heads.ts'
import { resnet18, resnet34, resnet50, resnet8 } from '../models/resnet.ts'
import { loadModel, saveModel } from '../models/state.ts'
import { simclr } from '../methods/simclr.ts'
import type { TrainConfig } from './config.ts'
import { scalerOf } from './precision.ts'

const encoders = { resnet8, resnet18, resnet34, resnet50 }

export type Trainer = ReturnType<typeof buildTrainer>

/** The encoder of a run, with initial weights. */
export const buildEncoder = (gpu: Gpu, { model, seed }: Pick<TrainConfig, 'model' | 'seed'>) =>
  encoders[model.name](gpu, { ...model, seed })

/** SimCLR as the configuration says, at step 0; `capture` false runs every step one by one, to the same bits. */
export function buildTrainer(gpu: Gpu, config: TrainConfig, stepsPerEpoch: number, capture = true) {
  const encoder = buildEncoder(gpu, config)
  const head = projectionHead(gpu, { ...config.head, features: encoder.features, seed: config.seed })
  const parameters = { ...encoder.parameters, ...head.parameters }
  const { weightDecay } = config.optimizer
  const optimizer =
    config.optimizer.name === 'adam'
      ? new Adam(parameters, { weightDecay })
      : new Lars(parameters, { weightDecay })
  const schedule = scheduleOf(config, stepsPerEpoch)
  const scaler = scalerOf(gpu)
  const options = { ...config, encoder, head, optimizer, schedule, capture, ...(scaler && { scaler }) }
  return { ...simclr(gpu, options), schedule, scaler }
}

/** The learning rate at each step: warm-up and decay are given in epochs. */
function scheduleOf({ schedule, epochs }: TrainConfig, stepsPerEpoch: number): Schedule {
  const [total, climb] = [epochs * stepsPerEpoch, schedule.warmupEpochs * stepsPerEpoch]
  const after =
    schedule.name === 'cosine' ? cosine(schedule.lr, Math.max(1, total - climb)) : constant(schedule.lr)
  return climb > 0 ? warmup(climb, after) : after
}

const [OPTIMIZER, SCALER] = ['optimizer.', 'scaler.']

/** Everything a run needs to go on as if it had never stopped. */
export async function saveTrainer(gpu: Gpu, { encoder, head, optimizer, scaler, state }: Trainer) {
  const tensors = new Map<string, SavedTensor>([
    ...(await saveModel(gpu, encoder)),
    ...(await saveModel(gpu, head)),
  ])
  for (const [role, saved] of await snapshot(gpu, optimizer.state)) tensors.set(OPTIMIZER + role, saved)
  for (const [role, saved] of await snapshot(gpu, scaler?.state ?? {})) tensors.set(SCALER + role, saved)
  return { tensors, metadata: { step: String(state.step), 'optimizer.t': String(optimizer.t) } }
}

/** Puts a trainer back to where `saveTrainer` left it. Throws Error naming what does not fit. */
export function loadTrainer(
  gpu: Gpu,
  { encoder, head, optimizer, scaler, state }: Trainer,
  {
    tensors,
    metadata,
  }: { tensors: ReadonlyMap<string, SavedTensor>; metadata: Readonly<Record<string, string>> },
) {
  const within = (prefix: string) =>
    new Map(
      [...tensors].flatMap(([name, saved]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), saved]] : [],
      ),
    )
  loadModel(gpu, encoder, tensors)
  loadModel(gpu, head, tensors)
  restore(gpu, optimizer.state, within(OPTIMIZER))
  if (scaler) restore(gpu, scaler.state, within(SCALER))
  optimizer.t = Number(metadata['optimizer.t'])
  state.step = Number(metadata['step'])
}
