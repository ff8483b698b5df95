// The worker's side: one training at a time, on a Gpu of the worker's own.

import type { Gpu } from '../engine/gpu.ts'
import { type OpenOptions, openGpu } from '../engine/open.ts'
import { type Embeddings, embed } from '../evaluate/embed.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import type { Dataset, Split } from '../data/dataset.ts'
import { imagesIn } from '../data/images-in-file.ts'
import { batches } from '../data/loader.ts'
import { memoryDataset } from '../data/memory-dataset.ts'
import { checkConfig } from '../training/check-config.ts'
import { type EncoderLayer, savedEncoderOf } from '../training/encoder.ts'
import type { MemoryStorage } from '../training/memory-storage.ts'
import type { Outcome } from '../training/outcome.ts'
import type { Evaluate } from '../training/prepare.ts'
import type { TrainingEvent } from '../training/progress.ts'
import { trainOn } from '../training/train.ts'
import { Gpus } from './gpus.ts'
import { noImages } from './images.ts'
import type { SentImages, StartMessage, TrainingService, WorkerImages } from './messages.ts'
import { copyOf, storageOf } from './run-copy.ts'

/** Options of `serveTraining`. */
export interface ServeOptions {
  /** Opens the worker's Gpu; `openGpu` by default. Called again after a lost device. */
  readonly open?: (options: OpenOptions) => Promise<Gpu>
  /** Measures the encoder whenever kNN accuracy is due, as `train` takes it. */
  readonly evaluate?: Evaluate
}

const BUDGET = 8 // ms of a submit: the page's frames share the adapter
const BATCH = 64 // images that are embedded at a time

/** The training that a page has started. */
interface Started {
  readonly storage: MemoryStorage
  readonly data: Split
  readonly gpus: Gpus
}

/** Trains for a page. */
export class TrainingServer implements TrainingService {
  readonly #open: NonNullable<ServeOptions['open']>
  readonly #evaluate: Evaluate | undefined
  #started: Started | null = null
  #stop: AbortController | null = null // while it trains

  constructor({ open = openGpu, evaluate }: ServeOptions) {
    this.#open = open
    this.#evaluate = evaluate
  }

  hello(): true {
    this.#checkIdle()
    return true
  }

  async start({ run, images, gpu: given }: StartMessage) {
    this.#checkIdle()
    const storage = await storageOf(run)
    const config = checkConfig(storage.config, storage.name, 'mend the configuration')
    const data = 'tensors' in images ? imagesIn(images, 'its images') : splitOf(images)
    const { precision, activations } = config
    const options = { budget: BUDGET, ...given, precision, activations }
    const gpus = new Gpus(() => this.#open(options))
    this.#started?.gpus.end()
    this.#started = { storage, data, gpus }
    const gpu = await gpus.open()
    return { gpu: String(gpu), software: gpu.software }
  }

  async train(onEvent: (event: TrainingEvent) => unknown): Promise<Outcome> {
    this.#checkIdle()
    const { storage, data, gpus } = this.#known()
    const stop = new AbortController()
    this.#stop = stop
    let told: Promise<unknown> = Promise.resolve()
    const tell = (event: TrainingEvent) => {
      told = Promise.resolve(onEvent(event)).catch(() => undefined) // the page is gone
    }
    const manner = { signal: stop.signal, onEvent: tell, evaluate: this.#evaluate }
    try {
      const outcome = await trainOn(gpus, data, storage, manner)
      await told // the outcome comes after the last event
      return outcome
    } finally {
      this.#stop = null
    }
  }

  stop() {
    this.#stop?.abort()
  }

  async embed(of: 'train' | 'test' | WorkerImages, layer?: EncoderLayer): Promise<Embeddings> {
    const { storage, data, gpus } = this.#known()
    const { newest } = storage
    if (!newest) throw new Error(`${storage.name}: there are no weights yet; train first`)
    const set = typeof of === 'string' ? data[of] : memoryDataset(of)
    const config = checkConfig(storage.config, storage.name)
    const { build, transform } = savedEncoderOf(config, newest, layer)
    return gpus.on(async (gpu) => {
      const model = await build(gpu)
      try {
        return await featuresOf(gpu, unitFeatures(model, transform), set)
      } finally {
        gpu.free(model)
      }
    })
  }

  run() {
    return copyOf(this.#known().storage)
  }

  #known(): Started {
    if (!this.#started) throw new Error('nothing was started; call startTraining first')
    return this.#started
  }

  #checkIdle() {
    if (this.#stop)
      throw new Error('the worker trains already; stop it first, or start another worker')
  }
}

function splitOf({ train: images, test }: SentImages): Split {
  const train = memoryDataset(images)
  const about = { path: null, split: 'images of a page', notes: [], others: [] }
  return { train, test: test ? memoryDataset(test) : noImages(train), about }
}

function featuresOf(
  gpu: Gpu,
  encode: ReturnType<typeof unitFeatures>,
  set: Dataset,
): Promise<Embeddings> {
  const { height, width, channels } = set.image
  const order = { seed: 0, epoch: 0, shuffle: false, dropLast: false }
  const all = batches(set, { batch: Math.min(BATCH, set.size), ...order })
  return embed(gpu, encode, all, [height, width, channels])
}
