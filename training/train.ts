// A whole training in one call, from configuration to outcome. A stopped training resumes.

import { type Split, checkSplit } from '../data/dataset.ts'
import { countSteps } from '../data/loader.ts'
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
import { type OnDevice, type OpenGpu, onDevices } from './devices.ts'
import { type Outcome, savedOutcome } from './outcome.ts'
import { type Manner, prepare, trainingImages } from './prepare.ts'
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

/** Opens Gpus for a training, and ends their use. */
export type Devices = Pick<OnDevice<Outcome>, 'open' | 'close'>

const training = new WeakSet<TrainingStorage>() // storages that are trained at present

/** Trains by the storage's configuration, from its newest checkpoint if it has one, to the end or
 *  until `signal` is aborted. `gpu` may be a function that opens one: when its device is lost, the
 *  training goes on from the last checkpoint with a new one, and says so; each is destroyed.
 *  `openData` opens `data`. Resolves to the outcome. A training that was stopped and resumed ends
 *  with the same bits on one kind of device. Throws TypeError for an argument of a wrong type, and
 *  Error for a storage that is being trained, and for a configuration, images or a checkpoint that
 *  do not fit. The last checkpoint stays intact. */
export async function train(
  gpu: Gpu | OpenGpu,
  data: Split,
  storage: TrainingStorage,
  options: TrainOptions = {},
): Promise<Outcome> {
  checkValue('train', 'gpu', gpu, aGpu)
  return trainOn(typeof gpu === 'function' ? { open: gpu } : gpu, data, storage, options)
}

/** Trains like `train`, on a Gpu, or on those of a caller that ends their use in its own way. */
export async function trainOn(
  devices: Gpu | Devices,
  data: Split,
  storage: TrainingStorage,
  options: TrainOptions = {},
): Promise<Outcome> {
  checkSplit('train', 'data', data)
  checkValue('train', 'storage', storage, having('a storage', 'config', 'latest'))
  const { name } = storage
  const manner = checkOptions('train', options, rules)
  const config = checkConfig(storage.config, name, 'mend the configuration')
  if (training.has(storage))
    throw new Error(`train: ${name} is being trained already; await that, or take another storage`)
  training.add(storage)
  try {
    return await begun(devices, { data, storage, config }, manner)
  } finally {
    training.delete(storage)
  }
}

/** What is trained. */
interface Subject {
  readonly data: Split
  readonly storage: TrainingStorage
  readonly config: TrainConfig
}

function begun(
  devices: Gpu | Devices,
  { data, storage, config }: Subject,
  { onEvent = () => {}, signal, ...manner }: TrainOptions,
): Promise<Outcome> {
  const stop = {
    get requested() {
      return signal?.aborted ?? false
    },
    signal,
  }
  const progress = eventsTo(onEvent)
  let last: Training | null = null
  const work = async (on: Gpu) => {
    checkArithmetic(on, config)
    const isFirst = last === null
    last = new Training(await prepare(on, config, data, manner), storage, progress, stop)
    if (isFirst) progress.start(last.total)
    return last.finish()
  }
  if (!('open' in devices)) return work(devices)
  let most = 0 // step that is saved
  const saved = () => (most = Math.max(most, last?.saved ?? 0))
  const note = (line: string, at: object) => {
    progress.note(`${storage.name}: ${line}`, at)
  }
  const stopped = () => {
    const steps = countSteps(trainingImages(config, data), { batch: config.batch })
    return savedOutcome(storage, config.epochs * steps)
  }
  return onDevices({ name: storage.name, ...devices, signal, work, saved, note, stopped })
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
