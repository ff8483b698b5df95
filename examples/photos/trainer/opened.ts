// Opens a saved training: that of a file, or the one that the browser keeps.

import { messageOf } from '../common/message-of.ts'
import { theGpu } from './device.ts'
import { trained } from './encoder.ts'
import { TRAINING, readKept } from './kept.ts'
import type { PhotoSet } from './photo-set.ts'
import {
  type SavedTraining,
  decodePictures,
  decodeRun,
  decodeTraining,
  picturesFileOf,
} from './run-file.ts'

/** A saved training with its pictures. */
export interface SavedRun {
  readonly pictures: PhotoSet
  readonly training: SavedTraining
  /** File of its pictures, null if the browser does not keep it. */
  readonly picturesFile: string | null
}

/** Opens the training of a file. Throws Error in words if it is none, or damaged. */
export async function fromFile(file: Blob): Promise<SavedRun> {
  const name = file instanceof File ? file.name : 'the file'
  const bytes = new Uint8Array(await file.arrayBuffer())
  try {
    const content = decodeRun(bytes, name)
    const pictures = decodePictures(content)
    const training = decodeTraining(content, pictures.names.length)
    await checkWeights(training)
    return { pictures, training, picturesFile: null }
  } catch (cause) {
    const why = messageOf(cause).replace(`${name}: `, '')
    throw new Error(`${name} cannot be opened: ${why}. Choose a file that this page has saved.`, {
      cause,
    })
  }
}

/** Opens the kept training. Throws Error in words if there is none, or if it is damaged. */
export async function fromKept(): Promise<SavedRun> {
  const kept = await readKeptRun()
  if (!kept) throw new Error('this browser keeps no training')
  await checkWeights(kept.training)
  return kept
}

/** Reads the kept training, null if there is none. Throws Error in words if it cannot be read. */
export async function readKeptRun(): Promise<SavedRun | null> {
  const saved = await readKept(TRAINING)
  if (!saved) return null
  const picturesFile = picturesFileOf(saved)
  const images = await readKept(picturesFile)
  if (!images) throw new Error('its pictures are missing')
  const pictures = decodePictures(images)
  return { pictures, training: decodeTraining(saved, pictures.names.length), picturesFile }
}

/** Throws Error if the weights are not of the network that the settings describe. */
async function checkWeights({ config, checkpoint }: SavedTraining) {
  const gpu = await theGpu().catch(() => null) // without a GPU nothing can use them
  if (gpu) gpu.free(trained(gpu, config, checkpoint))
}
