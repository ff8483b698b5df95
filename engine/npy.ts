// NumPy's file format, .npy 1.0: a header with the type and the shape, then the numbers.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { numbersOf } from '../kernels/numbers.ts'
import type { Shape, Values } from '../kernels/op.ts'
import { having } from '../kernels/options.ts'

/** Rows of features, as `embed` returns them: M of D numbers. */
interface Rows {
  readonly features: Values
  readonly M: number
  readonly D: number
}

const isRows = (values: unknown): values is Rows =>
  having('rows of features', 'features', 'M', 'D').fits(values)

const types = { f32: '<f4', i32: '<i4', u8: '|u1' } as const
const MAGIC = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0] // version 1.0
const ALIGN = 64 // bytes of the header, in multiples

/** Encodes numbers as a .npy file, which `numpy.load` reads: what `embed` returns, or values of
 *  `shape` or their own. Their kind decides the type, as in `gpu.tensor`: bytes u8, other integers
 *  i32, floats and plain arrays f32. Throws ShapeError, TypeError for what holds no numbers, and
 *  RangeError for a number that the type cannot hold. */
export function encodeNpy(values: Values | Rows, shape?: Shape): Uint8Array<ArrayBuffer> {
  const {
    dtype,
    shape: told,
    data,
  } = isRows(values)
    ? numbersOf('encodeNpy', values.features, shape ?? [values.M, values.D])
    : numbersOf('encodeNpy', values, shape)
  const tuple = told.length === 1 ? `${told[0]},` : told.join(', ')
  const text = `{'descr': '${types[dtype]}', 'fortran_order': False, 'shape': (${tuple}), }`
  const start = MAGIC.length + 2
  const length = Math.ceil((start + text.length + 1) / ALIGN) * ALIGN - start
  const header = new TextEncoder().encode(`${text.padEnd(length - 1)}\n`)
  const bytes = new Uint8Array(start + length + data.byteLength)
  bytes.set([...MAGIC, length & 255, length >> 8])
  bytes.set(header, start)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start + length)
  return bytes
}
