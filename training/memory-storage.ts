// A storage in memory: for a page, a test, or a program that saves checkpoints itself.

import { type Split, checkSplit } from '../data/dataset.ts'
import { checkValue, record, text } from '../kernels/options.ts'
import type { Metric } from './metrics.ts'
import { checkReplacement } from './resumable.ts'
import type { Checkpoint, Config, Other, TrainingStorage } from './storage.ts'

const configured = { ...record, words: 'a configuration, as configOf makes it' }

/** Stores one training in memory: its newest and its best checkpoint, and images if given. */
export class MemoryStorage implements TrainingStorage {
  readonly name: string
  readonly elsewhere = 'another storage'
  #config: Config
  #metrics: Metric[] = []
  #newest: Checkpoint | null = null
  #best: Checkpoint | null = null
  #images: Split | null = null

  /** Makes the storage of a training with this configuration. Messages use `name`. Throws TypeError
   *  for anything else. */
  constructor(config: object, name = 'the training') {
    checkValue('MemoryStorage', 'config', config, configured)
    this.name = checkValue('MemoryStorage', 'name', name, text)
    this.#config = { ...config }
  }

  get config(): Config {
    return this.#config
  }

  /** Newest checkpoint, or null. */
  get newest(): Checkpoint | null {
    return this.#newest
  }

  /** Checkpoint of the best accuracy, or null. */
  get best(): Checkpoint | null {
    return this.#best
  }

  /** Replaces the configuration. Throws Error in words for a wrong field and for a setting that a
   *  run keeps. */
  async writeConfig(config: Config): Promise<void> {
    await checkReplacement(this, config)
    this.#config = config
  }

  append(metric: Metric) {
    this.#metrics.push(metric)
  }

  metrics(): Promise<readonly Metric[]> {
    return Promise.resolve([...this.#metrics])
  }

  keepMetrics(isKept: (metric: Metric) => boolean): Promise<void> {
    this.#metrics = this.#metrics.filter(isKept)
    return Promise.resolve()
  }

  saveCheckpoint(
    step: number,
    tensors: Checkpoint['tensors'],
    metadata: Checkpoint['metadata'],
    { best = false }: { readonly best?: boolean } = {},
  ): Promise<string> {
    const path = `${this.name}: its checkpoint of step ${step}`
    this.#newest = { step, path, tensors, metadata: { ...metadata, step: String(step) } }
    if (best) this.#best = this.#newest
    return Promise.resolve(path)
  }

  latest() {
    return Promise.resolve({ checkpoint: this.#newest, damaged: [] })
  }

  bestCheckpoint(): Promise<Checkpoint | null> {
    return Promise.resolve(this.#best)
  }

  /** Resolves to the images that are kept with the training, as `train` takes them, or null. */
  images(): Promise<Split | null> {
    return Promise.resolve(this.#images)
  }

  /** Keeps the images of a training with it. */
  keepImages(images: Split): Promise<void> {
    checkSplit('keepImages', 'images', images)
    this.#images = images
    return Promise.resolve()
  }

  goOn(other: Other = {}): string {
    const changes = Object.entries(other).map(([name, value]) => `${name} ${value}`)
    return `train on the same storage${changes.length > 0 ? ` with ${changes.join(', ')}` : ''}`
  }

  nameOf(setting: string): string {
    return setting
  }
}
