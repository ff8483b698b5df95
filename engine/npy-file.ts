// Saves features and other numbers as .npy files.

import type { Shape, Tensor } from '../kernels/op.ts'
import { checkValue, isTensor, text } from '../kernels/options.ts'
import { partsOf } from './assemble.ts'
import { writeAtomic } from './node-files.ts'
import { encodeNpy } from './npy.ts'

/** Saves a tensor, numbers, or what `embed` returns as a .npy file at `path`, written atomically. A
 *  tensor keeps its element type, but f16 becomes f32. Throws like `encodeNpy`, and Error with a
 *  remedy. */
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
  const read = await partsOf(t.gpu).reads.read(t) // u8 and i32 as floats
  const arrays = { f32: Float32Array, f16: Float32Array, i32: Int32Array, u8: Uint8Array }
  return encodeNpy(arrays[t.dtype].from(read), shape)
}
