// Saves features and other numbers as .npy files.

import type { Shape, Tensor } from '../kernels/op.ts'
import { checkValue, isTensor, text } from '../kernels/options.ts'
import { partsOf } from './assemble.ts'
import { writeAtomic } from './node-files.ts'
import { encodeNpy } from './npy.ts'

/** Saves a tensor, numbers, or what `embed` returns as a .npy file at `path`, written atomically. A
 *  tensor keeps its element type and its numbers exactly, but f16 becomes f32. Throws like
 *  `encodeNpy`, and Error with a remedy. */
export async function saveNpy(
  path: string,
  values: Tensor | Parameters<typeof encodeNpy>[0],
  shape?: Shape,
) {
  checkValue('saveNpy', 'path', path, text)
  const isOnGpu = isTensor(values) && 'dtype' in values
  await writeAtomic(path, isOnGpu ? await npyOf(values, shape) : encodeNpy(values, shape))
}

async function npyOf(t: Tensor, shape: Shape = t.shape) {
  return encodeNpy(await partsOf(t.gpu).reads.exactly(t), shape)
}
