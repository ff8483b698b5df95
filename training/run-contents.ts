// What a run is made of, wherever it is kept: for copies into another storage, or into one file.

import type { Split } from '../data/dataset.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { checkConfig } from './check-config.ts'
import type { Metric } from './metrics.ts'
import { checkSettings } from './resumable.ts'
import type { Checkpoint, Config, TrainingStorage } from './storage.ts'

/** A whole run. */
export interface RunContents {
  readonly config: Config
  /** Metrics up to the newest checkpoint. */
  readonly metrics: readonly Metric[]
  readonly newest: Checkpoint
  /** Checkpoint of the best accuracy, if there is one. */
  readonly best: Checkpoint | null
  /** Images that are kept with it. */
  readonly images?: Split | null
}

/** Receives a line about something that was left out, such as a damaged checkpoint. */
export type OnNote = (line: string) => void

/** Reads a run from its storage, to copy it, with the images that it keeps if asked. Throws Error
 *  if it has no checkpoint yet, a wrong configuration, or another one than its checkpoint: nothing
 *  could go on from the copy. */
export async function contentsOf(
  storage: TrainingStorage,
  onNote: OnNote,
  { images = true }: { readonly images?: boolean } = {},
): Promise<RunContents> {
  const contents = await savedContents(storage, onNote)
  if (!contents)
    throw new Error(`${storage.name} has no checkpoint yet; let the training reach its first`)
  const path = `${storage.name}: its configuration`
  checkSettings(storage, contents.newest, checkConfig(contents.config, path, 'mend it'))
  return { ...contents, images: images ? ((await storage.images?.()) ?? null) : null }
}

/** Reads a run without images from its storage; null if it has no checkpoint yet. */
export async function savedContents(
  storage: TrainingStorage,
  onNote: OnNote,
): Promise<RunContents | null> {
  const { checkpoint, damaged } = await storage.latest()
  for (const line of damaged) onNote(line)
  if (!checkpoint) return null
  const best = await bestOf(storage, onNote)
  const newest = best && best.step > checkpoint.step ? best : checkpoint // if newer ones are damaged
  const metrics = (await storage.metrics()).filter(({ step }) => step <= newest.step)
  return { config: storage.config, metrics, newest, best }
}

async function bestOf(storage: TrainingStorage, onNote: OnNote): Promise<Checkpoint | null> {
  try {
    return (await storage.bestCheckpoint?.()) ?? null
  } catch (error) {
    onNote(reasonOf(error))
    return null
  }
}

/** A storage that can keep images too. */
type Keeping = TrainingStorage & Required<Pick<TrainingStorage, 'keepImages'>>

/** Writes a run into a new storage. A run goes on there with the same bits. */
export async function fill(storage: Keeping, { metrics, newest, best, images }: RunContents) {
  if (images) await storage.keepImages(images)
  for (const metric of metrics) await storage.append(metric)
  const save = ({ step, tensors, metadata }: Checkpoint) =>
    storage.saveCheckpoint(step, tensors, metadata, { best: step === best?.step })
  if (best && best.step !== newest.step) await save(best)
  await save(newest)
}
