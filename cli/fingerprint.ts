// What tells one data set from another of the same size.

import { type Dataset, imageBytes } from '../data/dataset.ts'

const SAMPLE = 32 // images that are looked at

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
