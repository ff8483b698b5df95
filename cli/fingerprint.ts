// What tells one data set from another, so that a run goes on with the images that it began with.

import { type Dataset, imageBytes } from '../data/dataset.ts'
import type { Checkpoint } from './checkpoints.ts'

const SAMPLE = 32 // images that are looked at

interface Resumed {
  readonly dir: string
  readonly bank: boolean
  /** Steps of the whole run. */
  readonly total: number
}

/** Throws Error unless a checkpoint of the run in `dir` is of these images, and of a step that the run has. A checkpoint that names no
 *  images was made before checkpoints did. */
export async function checkResumable(
  images: Dataset,
  { step, metadata: { images: saved } }: Pick<Checkpoint, 'step' | 'metadata'>,
  { dir, bank, total }: Resumed,
) {
  if (saved !== undefined && saved !== (await fingerprint(images)))
    throw new Error(
      bank
        ? `${dir}: its memory bank is of other images than the data set holds now; a bank belongs to its data set, start a new run`
        : `${dir}: it was trained on other images than the ${images.size} that the data set holds now; put those back, or start a new run`,
    )
  if (step > total)
    throw new Error(
      `${dir}: its checkpoint is of step ${step}, but with its images and config.json as they are now the run ends at step ${total}; put back what was changed, or start a new run`,
    )
}

/** Eight hexadecimal digits of the set's size and of the pixels of some of its images, evenly spread (FNV-1a). */
export async function fingerprint(images: Dataset): Promise<string> {
  const count = Math.min(SAMPLE, images.size)
  const indices = Uint32Array.from({ length: count }, (_, i) => Math.floor((i * images.size) / count))
  const pixels = new Uint8Array(count * imageBytes(images))
  await images.read(indices, pixels)
  let hash = 0x811c9dc5 ^ images.size
  for (const byte of pixels) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
