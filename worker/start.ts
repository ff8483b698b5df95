// The page's side: starts a training in a worker, and is told how it goes.

import { proxy, releaseProxy, transfer, wrap } from 'comlink'
import { type Abortable, abortable, unlessAborted } from '../kernels/abort.ts'
import { callback, checkOptions, checkValue, having, needed, oneOf } from '../kernels/options.ts'
import { quiet } from '../engine/errors.ts'
import { type OpenOptions, openRules } from '../engine/open.ts'
import { memoryDataset } from '../data/memory-dataset.ts'
import type { Embeddings } from '../evaluate/embed.ts'
import type { EncoderLayer } from '../training/encoder.ts'
import { checkConfig } from '../training/check-config.ts'
import { MemoryStorage } from '../training/memory-storage.ts'
import type { Outcome } from '../training/outcome.ts'
import type { TrainingEvent } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { TrainingStorage } from '../training/storage.ts'
import {
  buffersIn,
  buffersOf,
  checkSteps,
  checkedImages,
  givenImages,
  keptImages,
} from './images.ts'
import type { TrainingService, WorkerGpu, WorkerImages } from './messages.ts'
import { copyOf, storageOf } from './run-copy.ts'

/** A Worker, or a MessagePort to one. */
export interface TrainingPort {
  postMessage(message: unknown, transferred?: unknown): void
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
  terminate?(): unknown
  close?(): void
}

/** Options of `startTraining`. */
export interface StartOptions {
  /** The configuration of a new run, as `configOf` makes it, or a run to go on with: a storage, of
   *  which a copy is sent. */
  readonly run: TrainConfig | TrainingStorage
  /** Images to train on. Their memory is transferred: the page's array is empty afterwards. Left
   *  out, they are those that the storage of `run` keeps, of which a copy is sent, its test images
   *  too. */
  readonly train?: WorkerImages
  /** Images to measure with, beside `train`; none by default. Transferred likewise. */
  readonly test?: WorkerImages
  /** How the worker opens its Gpu. `budget` is 8 unless given, so that the page's frames do not
   *  wait; precision and activations are the configuration's. */
  readonly gpu?: Pick<OpenOptions, 'powerPreference' | 'budget'>
}

/** Options of `WorkerTraining.train`. */
export interface WorkerTrainOptions extends Abortable {
  /** Receives the events of `train`. */
  readonly onEvent?: (event: TrainingEvent) => void
}

/** Options of `WorkerTraining.embed`. */
export interface WorkerEmbedOptions extends Abortable {
  /** What is compared: by default as the run's configuration says. */
  readonly layer?: EncoderLayer
}

const worker = having('a Worker or a MessagePort', 'postMessage', 'addEventListener')
const { powerPreference, budget } = openRules
const imagesRule = having('images, { pixels, image }', 'pixels', 'image')
const runRule = having('a configuration, as configOf makes it, or a storage', 'config')
const isConfig = having('', 'method', 'preset')
const rules = {
  run: needed({ ...runRule, fits: (v: unknown) => isConfig.fits(v) || runRule.fits(v) }),
  train: imagesRule,
  test: imagesRule,
  gpu: having('options of openGpu, such as { budget: 8 }'),
}
const PATIENCE = 30_000 // ms until a worker must have begun to serve

/** Starts a training in a worker whose script calls `serveTraining`: sends it the run and the
 *  images, and opens its Gpu. Call `train` of what it resolves to. One worker has one training; a
 *  second call replaces it. Rejects with TypeError, RangeError, DataError and Error for wrong
 *  arguments, and with Error while the worker trains, before anything is sent; and with an Error in
 *  words where the worker's script does not load or serve, and where it has no WebGPU. */
export async function startTraining(
  port: TrainingPort,
  options: StartOptions,
): Promise<WorkerTraining> {
  const owner = 'startTraining'
  checkValue(owner, 'worker', port, worker)
  const { run, train, test, gpu } = checkOptions(owner, options, rules)
  checkOptions(`${owner}: gpu`, gpu, { powerPreference, budget })
  const storage = 'latest' in run ? run : new MemoryStorage(run)
  const config = checkConfig(storage.config, storage.name, 'mend the configuration')
  const given = train || test ? givenImages(owner, train, test) : null
  if (given) checkSteps(config, memoryDataset(given.train))
  const link = new Link(port) // before the first await: an error of the worker's script may be next
  const images = given ?? (await keptImages(owner, storage, config))
  const message = { run: await copyOf(storage), images, gpu: gpu ?? {} }
  await link.greeted(PATIENCE)
  const opened = await link.ask((service) =>
    service.start(transfer(message, [...buffersIn(images)])),
  )
  return new WorkerTraining(link, opened)
}

/** A training in a worker. Made by `startTraining`. */
export class WorkerTraining implements WorkerGpu {
  readonly gpu: string
  readonly software: boolean
  readonly #link: Link

  constructor(link: Link, { gpu, software }: WorkerGpu) {
    this.#link = link
    this.gpu = gpu
    this.software = software
  }

  /** Trains to the end, or until the signal is aborted: then the step under way is finished and
   *  saved. Call it again to go on. Resolves to the outcome. Rejects with the errors of `train`, by
   *  name and message; with what `onEvent` throws; and when the worker ends. */
  async train(options: WorkerTrainOptions = {}): Promise<Outcome> {
    const { onEvent, signal } = checkOptions('WorkerTraining.train', options, {
      ...abortable,
      onEvent: callback,
    })
    const stop = () => void quiet(this.#link.ask((service) => service.stop()))
    const failed: unknown[] = []
    const tell = (event: TrainingEvent) => {
      try {
        onEvent?.(event)
      } catch (error) {
        failed.push(error)
        stop()
      }
    }
    const training = this.#link.ask((service) => service.train(proxy(tell)))
    signal?.addEventListener('abort', stop)
    if (signal?.aborted) stop()
    try {
      const outcome = await training
      if (failed.length > 0) throw failed[0]
      return outcome
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  /** Computes features by the last checkpoint: unit rows [M, D] under the test transform, as
   *  evaluation compares them. `of` is a half of the training's images, or others, which are
   *  transferred. Rejects with the signal's reason when it is aborted, with Error before the first
   *  checkpoint, and like `train`. */
  async embed(
    of: 'train' | 'test' | WorkerImages = 'train',
    options: WorkerEmbedOptions = {},
  ): Promise<Embeddings> {
    const owner = 'WorkerTraining.embed'
    const { layer, signal } = checkOptions(owner, options, {
      ...abortable,
      layer: oneOf('features', 'embedding'),
    })
    if (typeof of === 'string') checkValue(owner, 'of', of, oneOf('train', 'test'))
    const given = typeof of === 'string' ? of : checkedImages(owner, 'of', of)
    const sent = typeof given === 'string' ? given : transfer(given, [...buffersOf([given])])
    signal?.throwIfAborted()
    return unlessAborted(
      signal,
      this.#link.ask((service) => service.embed(sent, layer)),
    )
  }

  /** Copies the run as it was last saved: its configuration, metrics and checkpoints, in a storage
   *  that `train`, `startTraining` and whatever saves runs take. */
  async run(): Promise<MemoryStorage> {
    return storageOf(await this.#link.ask((service) => service.run()))
  }

  /** Ends the worker at once, with what it was doing. Calls under way reject. */
  close() {
    this.#link.close()
  }
}

/** The service as the page sees it: every answer comes later. */
type RemoteService = {
  readonly [Call in keyof TrainingService]: (
    ...given: Parameters<TrainingService[Call]>
  ) => Promise<Awaited<ReturnType<TrainingService[Call]>>>
}

/** The way to a worker, which may end at any time. */
class Link {
  readonly #service: RemoteService
  readonly #release: () => void
  readonly #port: TrainingPort
  readonly #ended: Promise<never>
  #end: (error: Error) => void = () => {}

  constructor(port: TrainingPort) {
    this.#port = port
    const remote = wrap<TrainingService>(port)
    this.#service = remote
    this.#release = () => remote[releaseProxy]()
    this.#ended = quiet(
      new Promise<never>((_, reject) => {
        this.#end = reject
      }),
    )
    port.addEventListener('error', (event: Partial<ErrorEvent>) => {
      const { message = '' } = event // of an ErrorEvent
      this.#end(new Error(`the training's worker failed: ${message || 'its script did not load'}`))
    })
    port.addEventListener('messageerror', () => {
      this.#end(new Error('a message of the training could not be read; is memory short?'))
    })
  }

  /** Resolves as the service's answer does, unless the worker ends first, or has ended. */
  ask<T>(call: (service: RemoteService) => Promise<T>): Promise<T> {
    const answer = quiet((async () => call(this.#service))())
    return Promise.race([this.#ended, answer])
  }

  /** Resolves when the worker serves. Rejects with Error after so many milliseconds. */
  async greeted(patience: number) {
    const late = setTimeout(() => {
      const words = `did not answer in ${patience / 1000} s; its script must call serveTraining()`
      this.#end(new Error(`the training's worker ${words}`))
    }, patience)
    await this.ask((service) => service.hello()).finally(() => clearTimeout(late))
  }

  close() {
    this.#end(new Error("the training's worker was closed"))
    if (this.#port.terminate) void this.#port.terminate()
    else this.#release()
  }
}
