// A training as a packed run, the zip that goes to a server and comes from one, with its images.

import { unpackRun } from 'kindred'
import { photosOf } from './pictures-file.ts'
import type { PhotoSet } from './photo-set.ts'
import { type SavedTraining, checkedForPage } from './run-file.ts'

const ZIP = [0x50, 0x4b] // 'PK'

/** Tells whether bytes are those of a zip. */
export const isZip = (bytes: Uint8Array): boolean => ZIP.every((byte, i) => bytes[i] === byte)

/** Opens a packed run. Throws Error in words for one without images, and for one that this page
 *  cannot train. */
export async function openPacked(
  bytes: Uint8Array,
  name: string,
): Promise<{ readonly pictures: PhotoSet; readonly training: SavedTraining }> {
  const run = await unpackRun(bytes, { name })
  const images = await run.images()
  if (!images)
    throw new Error('it carries no images; make it by kindred export RUN --to X.zip --with-images')
  const checkpoint = run.newest
  if (!checkpoint) throw new Error('it holds no checkpoint')
  const pictures = await photosOf(images)
  const metrics = await run.metrics()
  const training = checkedForPage(run.config, pictures.names.length, checkpoint)
  return { pictures, training: { ...training, metrics } }
}
