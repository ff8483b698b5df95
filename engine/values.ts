// Converts numbers to and from their bytes on the GPU, and checks the dtypes that ops accept.

import type { Numbers } from '../kernels/numbers.ts'
import {
  type Accepted,
  type DType,
  type Shape,
  type Tensor,
  ShapeError,
  show,
  sizeOf,
} from '../kernels/op.ts'
import { inputName } from '../kernels/input-name.ts'
import { checkTensor } from '../kernels/options.ts'

/** Returns the bytes of a tensor on the GPU. */
export const byteSize = (dtype: DType, shape: Shape) => sizeOf(shape) * elementBytes[dtype]

const elementBytes = { f32: 4, i32: 4, u8: 1, f16: 2 } as const

/** Rounds bytes up to whole words, at least one, as copies and bindings need. */
export const wholeWords = (bytes: number) => Math.max(4, Math.ceil(bytes / 4) * 4)

/** Returns the bytes of numbers, padded to whole words, in memory that is not shared, since Dawn
 *  accepts no other. Returns their own bytes where possible, so use them at once. */
export function pack({ data }: Numbers): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data
  if (buffer instanceof ArrayBuffer && !buffer.resizable && byteLength % 4 === 0)
    return new Uint8Array(buffer, byteOffset, byteLength)
  const bytes = new Uint8Array(Math.ceil(byteLength / 4) * 4)
  bytes.set(new Uint8Array(buffer, byteOffset, byteLength))
  return bytes
}

const SAMPLE = 1024

/** Returns the largest of a sample of the values: about 1,024, evenly spaced. */
export function largestOf(values: Numbers['data']): number {
  const step = Math.max(1, Math.floor(values.length / SAMPLE) | 1) // odd, to see all channels
  let largest = -Infinity
  for (let i = 0; i < values.length; i += step) largest = Math.max(largest, values[i] ?? NaN)
  return largest
}

/** Copies the first `count` numbers out of mapped memory as they are; f16 as f32. */
export function unpackExactly(
  memory: ArrayBuffer,
  dtype: DType,
  count: number,
): Float32Array | Int32Array | Uint8Array {
  if (dtype === 'i32') return new Int32Array(memory.slice(0, count * 4))
  if (dtype === 'u8') return new Uint8Array(memory.slice(0, count))
  return unpack(memory, dtype, count)
}

/** Copies the first `count` numbers out of mapped memory. Throws RangeError for an i32 that no f32
 *  equals. */
export function unpack(memory: ArrayBuffer, dtype: DType, count: number): Float32Array {
  if (dtype === 'f32') return new Float32Array(memory.slice(0, count * 4))
  if (dtype === 'f16') return Float32Array.from(new Uint16Array(memory, 0, count), fromF16)
  if (dtype === 'u8') return Float32Array.from(new Uint8Array(memory, 0, count))
  const integers = new Int32Array(memory, 0, count)
  const floats = Float32Array.from(integers)
  const at = integers.findIndex((integer, i) => integer !== floats[i])
  if (at >= 0)
    throw new RangeError(
      `Gpu.read: ${integers[at]} at ${at} of an i32 tensor would be rounded, since reads give f32, exact up to 2^24; keep indices within that, or save them by saveNpy, which keeps them exactly`,
    )
  return floats
}

/** Converts the bits of an f16: a sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16). */
export function fromF16(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24)
}

/** Throws ShapeError unless every input is of the dtype that the op accepts there. */
export function checkDtypes(
  op: {
    readonly name: string
    readonly accepts?: readonly Accepted[]
    readonly names?: readonly string[]
  },
  inputs: readonly Tensor[],
) {
  for (const [i, { dtype, shape }] of inputs.entries()) {
    const accepted = op.accepts?.[i] ?? 'f32'
    const fits =
      accepted === 'index' ? ['f32', 'i32'] : accepted === 'float' ? ['f32', 'f16'] : [accepted]
    if (!fits.includes(dtype))
      throw new ShapeError(
        `${op.name}: ${inputName(op.names, i)} must be ${fits.join(' or ')}, got ${dtype} ${show(shape)}`,
      )
  }
}

/** Tells whether gradients flow to tensors of this dtype. */
export const isFloat = ({ dtype }: Pick<Tensor, 'dtype'>): boolean =>
  dtype === 'f32' || dtype === 'f16'

/** Throws ShapeError unless the cotangent can weigh the output. */
export function checkCotangent({ dtype, shape }: Tensor, output: Tensor) {
  if ((dtype !== 'f32' && dtype !== output.dtype) || shape.join() !== output.shape.join())
    throw new ShapeError(
      `backward: the cotangent must be f32 of the output's shape, got ${dtype} ${show(shape)} for ${show(output.shape)}`,
    )
}

/** Throws TypeError for a tensor that has no gradient. */
export function checkDifferentiable(owner: string, tensors: Iterable<Tensor>) {
  for (const tensor of tensors) {
    checkTensor(owner, 'what of holds', tensor)
    if (!isFloat(tensor))
      throw new TypeError(
        `${owner}: of holds ${tensor.dtype} ${show(tensor.shape)}; f32 alone has a gradient`,
      )
  }
}
