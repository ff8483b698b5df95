// A whole training in one call: from its configuration to its outcome, resumed where it was stopped.

import type { Split } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { anything, callback, checkOptions, checkValue, having, oneOf } from '../kernels/options.ts'
import { checkGpu } from '../models/model.ts'
import { checkConfig } from './check-config.ts'
import type { Outcome } from './outcome.ts'
import { type Manner, prepare } from './prepare.ts'
import { type TrainingEvent, eventsTo } from './progress.ts'
import type { TrainConfig } from './run-schema.ts'
import type { TrainingStorage } from './storage.ts'
import { Training } from './training.ts'

export interface TrainOptions extends Manner {
  /** Receives what the training tells: its length, each step's numbers, lines in words. */
  readonly onEvent?: (event: TrainingEvent) => void
  /** Stops the training once aborted: the step under way is finished and saved. */
  readonly signal?: AbortSignal
}

const rules = {
  onEvent: callback,
  signal: having('an AbortSignal', 'aborted'),
  evaluate: callback,
  capture: anything,
  resident: oneOf('auto', 'on', 'off'),
}

/** Trains as the storage's configuration says, from its newest checkpoint if it has one, to the end
 *  or until `signal` is aborted. `data` are the images, as `openData` opens them. Resolves to the
 *  outcome. The same configuration, images and precision go on to the same bits, however often the
 *  training is stopped. Throws TypeError for an argument of another kind, and Error for a
 *  configuration, images or a checkpoint that do not fit; the last checkpoint is then intact. */
export async function train(
  gpu: Gpu,
  data: Split,
  storage: TrainingStorage,
  options: TrainOptions = {},
): Promise<Outcome> {
  checkGpu('train', gpu)
  checkValue('train', 'data', data, having('both halves of a data set', 'train', 'test'))
  checkValue('train', 'storage', storage, having('a storage', 'config', 'latest'))
  const { onEvent = () => {}, signal, ...manner } = checkOptions('train', options, rules)
  const config = checkConfig(storage.config, storage.name, 'mend the configuration')
  checkArithmetic(gpu, config)
  const prepared = await prepare(gpu, config, data, manner)
  const stop = {
    get requested() {
      return signal?.aborted ?? false
    },
  }
  const progress = eventsTo(onEvent)
  const training = new Training(prepared, storage, progress, stop)
  progress.start(training.total)
  return training.finish()
}

/** Throws Error unless a Gpu computes as the configuration says. */
function checkArithmetic(gpu: Gpu, config: TrainConfig) {
  for (const name of ['precision', 'activations'] as const)
    if (gpu.run[name] !== config[name])
      throw new Error(
        `train: the configuration has ${name} ${config[name]}, and the Gpu ${gpu.run[name]}; open it with openGpu({ ${name}: '${config[name]}' })`,
      )
}
