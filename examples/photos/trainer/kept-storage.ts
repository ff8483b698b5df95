// The storage of a training: memory, and with every checkpoint the file that the browser keeps.

import { type Checkpoint, MemoryStorage, encodeSafetensors } from 'kindred'
import type { Choice, RunEvent, Tell } from '../common/api.ts'
import { messageOf } from '../common/message-of.ts'
import { TRAINING, claimKept, deleteKept, deleteKeptBut, isKept, writeKept } from './kept.ts'
import type { PhotoSet } from './photo-set.ts'
import { picturesBytes } from './pictures-file.ts'
import { type SavedTraining, encodeKept } from './run-file.ts'

const OTHER_TAB =
  'another tab trains and keeps its training in this browser; save this one as a file at its end'

/** Stores a training in memory and, where it can, in the browser. */
export class KeptStorage extends MemoryStorage {
  readonly choice: Choice
  /** Hears what was saved, and what could not be. */
  tell: Tell<RunEvent> = () => {}
  readonly #pictures: PhotoSet
  #picturesFile: string | null = null // in the browser, null while it keeps them not

  constructor(config: object, choice: Choice, pictures: PhotoSet) {
    super(config, 'this training')
    this.choice = choice
    this.#pictures = pictures
  }

  /** Makes the storage of a saved training. `picturesFile` is that of a kept one, else null. */
  static async of(saved: SavedTraining, pictures: PhotoSet, picturesFile: string | null) {
    const storage = new KeptStorage(saved.config, saved.choice, pictures)
    const { step, tensors, metadata } = saved.checkpoint
    for (const metric of saved.metrics) storage.append(metric)
    await MemoryStorage.prototype.saveCheckpoint.call(storage, step, tensors, metadata)
    storage.#picturesFile = picturesFile
    return storage
  }

  /** The training as it is to be saved. Throws Error before the first checkpoint. */
  async training(): Promise<SavedTraining> {
    const checkpoint = this.newest
    if (!checkpoint) throw new Error('there is nothing to save yet: training has just begun')
    const metrics = await this.metrics()
    const { choice, config } = this
    return {
      choice,
      config: config as unknown as SavedTraining['config'],
      metrics: metrics.filter(({ step }) => step <= checkpoint.step),
      checkpoint,
    }
  }

  override async saveCheckpoint(
    step: number,
    tensors: Checkpoint['tensors'],
    metadata: Checkpoint['metadata'],
    options: { readonly best?: boolean } = {},
  ): Promise<string> {
    const path = await super.saveCheckpoint(step, tensors, metadata, options)
    try {
      this.tell({ kind: 'saved', step, bytes: await this.#keep() })
    } catch (error) {
      this.tell({ kind: 'unsaved', reason: messageOf(error) }) // memory has it: training goes on
    }
    return path
  }

  /** Stores the training in the browser. The one before it goes when this one is whole there. */
  async #keep(): Promise<number> {
    if (!(await claimKept())) throw new Error(OTHER_TAB)
    const own = this.#picturesFile
    if (own !== null && (await isKept(own))) return this.#keepTraining(own)
    const file = `pictures-${crypto.randomUUID()}`
    try {
      await writeKept(file, await picturesBytes(this.#pictures))
      const bytes = await this.#keepTraining(file) // from here on, it is the one that is kept
      this.#picturesFile = file
      await deleteKeptBut(TRAINING, file).catch(() => {}) // the next one deletes them too
      return bytes
    } catch (error) {
      if (this.#picturesFile !== file) await deleteKept(file).catch(() => {})
      throw error
    }
  }

  async #keepTraining(picturesFile: string): Promise<number> {
    return writeKept(TRAINING, encodeSafetensors(encodeKept(await this.training(), picturesFile)))
  }
}
