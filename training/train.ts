// A whole training in one call, from configuration to outcome. A stopped training resumes.

import type { Split } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { abortable } from '../kernels/abort.ts'
import { anything, callback, checkOptions, checkValue, having, oneOf } from '../kernels/options.ts'
import { checkGpu } from '../models/model.ts'
import { checkConfig } from './check-config.ts'
import type { Outcome } from './outcome.ts'
import { type Manner, prepare } from './prepare.ts'
import { type TrainingEvent, eventsTo } from './progress.ts'
import type { TrainConfig } from './run-schema.ts'
import type { TrainingStorage } from './storage.ts'
import { Training } from './training.ts'

/** Options of `train`. */
export interface TrainOptions extends Manner {
  /** Receives the training's events: its length, each step's numbers, lines in words. */
  readonly onEvent?: (event: TrainingEvent) => void
  /** Stops the training when aborted. It finishes the current step and saves; a measurement under
   *  way ends at once, and is made up for when the training goes on. */
  readonly signal?: AbortSignal
}

const rules = {
  onEvent: callback,
  ...abortable,
  evaluate: callback,
  capture: anything,
  resident: oneOf('auto', 'on', 'off'),
}

/** Trains by the storage's configuration, from its newest checkpoint if it has one, to the end or
 *  until `signal` is aborted. `openData` opens `data`. Resolves to the outcome. A training that was
 *  stopped and resumed ends with the same bits on one device. Throws TypeError for an argument of a
 *  wrong type, and Error for a configuration, images or a checkpoint that do not fit. The last
 *  checkpoint stays intact. */
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
    signal,
  }
  const progress = eventsTo(onEvent)
  const training = new Training(prepared, storage, progress, stop)
  progress.start(training.total)
  return training.finish()
}

/** Throws Error if the Gpu has another precision or activations than the configuration. */
function checkArithmetic(gpu: Gpu, config: TrainConfig) {
  for (const name of ['precision', 'activations'] as const)
    if (gpu.run[name] !== config[name])
      throw new Error(
        `train: the configuration has ${name} ${config[name]}, and the Gpu ` +
          `${gpu.run[name]}; open it with openGpu({ ${name}: '${config[name]}' })`,
      )
}
