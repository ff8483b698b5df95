// How many images of a size a tensor of this device may hold.

import { counted } from '../data/words.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Counts the images u8 [size, size, 3] that fit into one tensor. */
export const mostImagesOf = (gpu: Gpu, size: number): number =>
  Math.floor(mostBytes(gpu) / imageBytes(size))

/** Throws RangeError where `pictures` images of `size` pixels squared are more than a tensor of
 *  this device may hold. */
export function checkImageRoom(owner: string, gpu: Gpu, pictures: number, size: number) {
  const most = mostImagesOf(gpu, size)
  if (pictures <= most) return
  const side = Math.floor(Math.sqrt(mostBytes(gpu) / (3 * pictures)))
  const remedies = [
    ...(side > 0 ? [`give ${side} or less`] : []),
    ...(most > 0 ? [`at most ${counted(most, 'picture')} at a time`] : []),
    ...(most > 0 ? ['imageDataset, which keeps them in memory'] : []),
  ]
  const all = pictures === 1 ? 'the picture' : `all ${pictures} pictures`
  throw new RangeError(
    `${owner}: size must leave room for ${all} in ` +
      `the ${mostBytes(gpu)} bytes that this device binds, got ${size}, which needs ` +
      `${pictures * imageBytes(size)}; ${remedies.join(', or ')}`,
  )
}

const imageBytes = (size: number) => size * size * 3

const mostBytes = ({ device }: Gpu) => device.limits.maxStorageBufferBindingSize
