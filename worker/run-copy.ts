// A run as a message, and a storage in memory that holds the same.

import { MemoryStorage } from '../training/memory-storage.ts'
import { fill, savedContents } from '../training/run-contents.ts'
import type { TrainingStorage } from '../training/storage.ts'
import type { RunCopy } from './messages.ts'

/** Copies a run as it was last saved. */
export async function copyOf(storage: TrainingStorage): Promise<RunCopy> {
  const { name, config } = storage
  return { name, config, contents: await savedContents(storage, () => {}) }
}

/** Makes a storage in memory of a copied run. */
export async function storageOf({ name, config, contents }: RunCopy): Promise<MemoryStorage> {
  const storage = new MemoryStorage(config, name)
  if (contents) await fill(storage, contents)
  return storage
}
