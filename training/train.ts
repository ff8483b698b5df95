// A whole training in one call, from configuration to outcome. A stopped training resumes.

import type { Split } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { abortable } from '../kernels/abort.ts'
import {
  anything,
  callback,
  checkOptions,
  checkValue,
  either,
  having,
  oneOf,
  onGpu,
  rule,
} from '../kernels/options.ts'
import { checkConfig } from './check-config.ts'
import { type OpenGpu, onDevices } from './devices.ts'
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

const aGpu = either(onGpu, rule('a function that opens one, such as openGpu', callback.fits))

/** Trains by the storage's configuration, from its newest checkpoint if it has one, to the end or
 *  until `signal` is aborted. `gpu` may be a function that opens one: when its device is lost, the
 *  training goes on from the last checkpoint with a new one, and says so; each is destroyed.
 *  `openData` opens `data`. Resolves to the outcome. A training that was stopped and resumed ends
 *  with the same bits on one kind of device. Throws TypeError for an argument of a wrong type, and
 *  Error for a configuration, images or a checkpoint that do not fit. The last checkpoint stays
 *  intact. */
export async function train(
  gpu: Gpu | OpenGpu,
  data: Split,
  storage: TrainingStorage,
  options: TrainOptions = {},
): Promise<Outcome> {
  checkValue('train', 'gpu', gpu, aGpu)
  checkValue('train', 'data', data, having('both halves of a data set', 'train', 'test'))
  checkValue('train', 'storage', storage, having('a storage', 'config', 'latest'))
  const { onEvent = () => {}, signal, ...manner } = checkOptions('train', options, rules)
  const config = checkConfig(storage.config, storage.name, 'mend the configuration')
  const stop = {
    get requested() {
      return signal?.aborted ?? false
    },
    signal,
  }
  const progress = eventsTo(onEvent)
  let training: Training | null = null
  const work = async (on: Gpu) => {
    checkArithmetic(on, config)
    const isFirst = training === null
    training = new Training(await prepare(on, config, data, manner), storage, progress, stop)
    if (isFirst) progress.start(training.total)
    return training.finish()
  }
  if (typeof gpu !== 'function') return work(gpu)
  let most = 0 // step that is saved
  const saved = () => (most = Math.max(most, training?.saved ?? 0))
  const note = (line: string, at: object) => {
    progress.note(`${storage.name}: ${line}`, at)
  }
  return onDevices({ name: storage.name, open: gpu, signal, work, saved, note })
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
