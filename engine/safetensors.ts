// Encodes and decodes the safetensors format (https://github.com/huggingface/safetensors): an
// 8-byte length, a JSON header, raw little-endian data.

import { checkValue, describe, having, record, rule } from '../kernels/options.ts'
import { printable } from '../kernels/printable.ts'
import { type Shape, sizeOf } from '../kernels/op.ts'
import { type HeaderEntry, readHeader } from './safetensors-header.ts'
import { fromF16 } from './values.ts'

/** An array in a file. F16 and BF16 are read as Float32Array, which holds each of their values. */
export interface SavedTensor {
  /** Sizes of the dimensions, the slowest first. */
  readonly shape: Shape
  /** The values in row-major order. */
  readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array
}

/** The content of a safetensors file. */
export interface SafetensorsFile {
  /** The arrays by name, in the file's order. */
  readonly tensors: ReadonlyMap<string, SavedTensor>
  /** Texts by name; {} where the file has none. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Encodes a safetensors file. Names keep their order; the first tensor's data is 8-byte aligned.
 *  Throws Error for a tensor with more or fewer values than its shape, or with the metadata's
 *  name. */
export function encodeSafetensors(file: SafetensorsFile): Uint8Array<ArrayBuffer> {
  const parts = having('an object with tensors, a map, and metadata', 'tensors', 'metadata')
  const { tensors, metadata } = checkValue('encodeSafetensors', 'file', file, parts)
  checkValue('encodeSafetensors', 'tensors', tensors, having('a map of tensors', 'get', 'values'))
  checkValue('encodeSafetensors', 'metadata', metadata, record)
  const fields: string[] = []
  const put = (name: string, value: unknown) =>
    void fields.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`)
  if (Object.keys(metadata).length > 0) put('__metadata__', metadata)
  let end = 0
  for (const [name, { shape, data }] of tensors) {
    if (name === '__metadata__')
      throw new Error(
        `safetensors: a tensor must not be called ${name}, the metadata are; give it another name`,
      )
    if (sizeOf(shape) !== data.length)
      throw new Error(
        `safetensors: ${printable(name)} has ${data.length} values for shape [${shape.join(', ')}]`,
      )
    put(name, { dtype: dtypeOf(name, data), shape, data_offsets: [end, end + data.byteLength] })
    end += data.byteLength
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const start = 8 + Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(start + end)
  bytes.fill(0x20, 8, start) // the header is padded with spaces
  bytes.set(json, 8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true)
  let at = start
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

const MOST_HEADER = 100_000_000 // bytes, the limit of the format's own library

/** Decodes the tensors and metadata of a safetensors file. Throws Error, naming the file and the
 *  tensor, for a wrong length, header or dtype, a name that stands twice, and data that overlap,
 *  leave a gap or do not end with the file. */
export function decodeSafetensors(
  given: Uint8Array | ArrayBuffer,
  name = 'safetensors',
): SafetensorsFile {
  const file = bytesOf(given)
  const shown = printable(name)
  if (file.length < 8)
    throw new Error(`${shown}: a safetensors file has at least 8 bytes, got ${file.length}`)
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  if (headerBytes > file.length - 8)
    throw new Error(
      `${shown}: the header claims ${headerBytes} bytes, the file holds ${file.length}; it is truncated or not safetensors`,
    )
  if (headerBytes > MOST_HEADER)
    throw new Error(`${shown}: a header has at most ${MOST_HEADER} bytes, got ${headerBytes}`)
  const data = file.subarray(8 + headerBytes)
  const { entries, metadata } = readHeader(file.subarray(8, 8 + headerBytes), data.length, shown)
  const tensors = new Map<string, SavedTensor>()
  for (const [key, { dtype, shape, begin, end }] of entries) {
    // copied, since data may be an unaligned Node Buffer
    const bytes = new Uint8Array(data.subarray(begin, end)).buffer
    tensors.set(key, { shape, data: arrayOf(dtype, bytes) })
  }
  return { tensors, metadata }
}

/** The rule of a file's bytes, given as such or as a page's `arrayBuffer()` resolves to them, which
 *  may come from another frame. */
export const aFile = rule('the bytes of a file, a Uint8Array or an ArrayBuffer', (given) =>
  /^\[object (Uint8Array|(Shared)?ArrayBuffer)\]$/.test(Object.prototype.toString.call(given)),
)

function bytesOf(given: Uint8Array | ArrayBuffer): Uint8Array {
  checkValue('decodeSafetensors', 'file', given, aFile)
  return 'buffer' in given ? given : new Uint8Array(given)
}

/** Makes the array of a dtype that the header's check accepts. */
function arrayOf(dtype: HeaderEntry['dtype'], bytes: ArrayBuffer): SavedTensor['data'] {
  if (dtype === 'F32') return new Float32Array(bytes)
  if (dtype === 'F16') return Float32Array.from(new Uint16Array(bytes), fromF16)
  if (dtype === 'BF16')
    return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer)
  if (dtype === 'I32') return new Int32Array(bytes)
  return dtype === 'I64' ? new BigInt64Array(bytes) : new Uint8Array(bytes)
}

function dtypeOf(name: string, data: SavedTensor['data']): string {
  if (data instanceof Float32Array) return 'F32'
  if (data instanceof Int32Array) return 'I32'
  if (data instanceof BigInt64Array) return 'I64'
  if (data instanceof Uint8Array || (data as unknown) instanceof Uint8ClampedArray) return 'U8'
  throw new TypeError(
    `safetensors: ${name} must be a Float32Array, Int32Array, BigInt64Array or Uint8Array, got ${describe(data)}`,
  )
}
