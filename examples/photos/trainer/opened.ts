// Opens a saved training: that of a file, or the one that the browser keeps.

import { decodeSafetensors } from 'kindred'
import { messageOf } from '../common/message-of.ts'
import { theGpu } from './device.ts'
import { trained } from './encoder.ts'
import { TRAINING, readKept } from './kept.ts'
import { isZip, openPacked } from './packed-run.ts'
import type { PhotoSet } from './photo-set.ts'
import { picturesIn } from './pictures-file.ts'
import { type SavedTraining, decodePictures, decodeTraining, picturesFileOf } from './run-file.ts'

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
    const read = isZip(bytes) ? await openPacked(bytes, name) : openOwn(bytes, name)
    await checkWeights(read.training)
    return { ...read, picturesFile: null }
  } catch (cause) {
    const why = messageOf(cause).replace(`${name}: `, '')
    throw new Error(
      `${name} cannot be opened: ${why}. Open a training that this page has saved, or a zip of ` +
        'kindred export --with-images.',
      { cause },
    )
  }
}

const HEADER = 8 // bytes before the header of a safetensors file, which is JSON

function openOwn(bytes: Uint8Array, name: string): Pick<SavedRun, 'pictures' | 'training'> {
  if (bytes[HEADER] !== '{'.charCodeAt(0)) throw new Error('it is no training')
  const content = decodeSafetensors(bytes, name)
  const pictures = decodePictures(content)
  return { pictures, training: decodeTraining(content, pictures.names.length) }
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
  const bytes = await readKept(TRAINING)
  if (!bytes) return null
  const saved = decodeSafetensors(bytes, 'its file')
  const picturesFile = picturesFileOf(saved)
  const images = await readKept(picturesFile)
  if (!images) throw new Error('its pictures are missing')
  const pictures = await picturesIn(images, 'its pictures')
  return { pictures, training: decodeTraining(saved, pictures.names.length), picturesFile }
}

/** Throws Error if the weights are not of the network that the settings describe. */
async function checkWeights({ config, checkpoint }: SavedTraining) {
  const gpu = await theGpu().catch(() => null) // without a GPU nothing can use them
  if (gpu) gpu.free(trained(gpu, config, checkpoint))
}
