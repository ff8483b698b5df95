// A run as a message: what its storage holds, and a storage in memory that holds the same.

import { MemoryStorage } from '../training/memory-storage.ts'
import type { Checkpoint, TrainingStorage } from '../training/storage.ts'
import type { RunCopy } from './messages.ts'

/** Copies a run. `best` is the checkpoint of the best accuracy, null where none is known. */
export async function copyOf(storage: TrainingStorage): Promise<RunCopy> {
  const { checkpoint } = await storage.latest()
  const best = (await storage.bestCheckpoint?.()) ?? null
  const { name, config } = storage
  return { name, config, metrics: await storage.metrics(), newest: checkpoint, best }
}

/** Makes a storage in memory of a copied run. */
export async function storageOf({ name, config, metrics, newest, best }: RunCopy) {
  const storage = new MemoryStorage(config, name)
  for (const metric of metrics) storage.append(metric)
  const save = async ({ step, tensors, metadata }: Checkpoint, isBest: boolean) =>
    void (await storage.saveCheckpoint(step, tensors, metadata, { best: isBest }))
  if (best) await save(best, true)
  if (newest) await save(newest, newest.step === best?.step)
  return storage
}
