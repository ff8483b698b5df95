// Decodes BMP images, which libvips does not read: 1, 4, 8, 16, 24 or 32 bits a pixel, with a
// palette or masks, bottom-up or top-down, with OS/2's headers or Windows'. Refuses run-length
// encoding and embedded JPEG or PNG.

import { tooManyPixels } from './image-format.ts'

const MOST = 2 ** 28 // pixels, about sharp's own limit

/** Pixels u8 [height, width, 3 or 4]; four channels where the file has an alpha mask. */
export interface Bitmap {
  readonly width: number
  readonly height: number
  readonly channels: 3 | 4
  readonly data: Uint8Array
}

interface Header {
  readonly width: number
  readonly height: number
  readonly topDown: boolean
  readonly bits: number
  /** Byte at which the pixels begin. */
  readonly start: number
  /** Bytes of a row. */
  readonly stride: number
  readonly compression: number
  readonly headerBytes: number
}

/** Decodes a BMP file of at most `most` pixels. Throws Error that says what is wrong with it. */
export function decodeBmp(file: Uint8Array, most = MOST): Bitmap {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  const header = readHeader(bytes, most)
  const { width, height, bits, topDown, start, stride } = header
  if (start + stride * height > bytes.length)
    throw new Error('is cut short: its BMP data end early')
  const colour = bits <= 8 ? palette(bytes, header) : bits === 24 ? null : masked(bytes, header)
  const channels = colour?.alpha ? 4 : 3
  const data = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) {
    const row = start + stride * (topDown ? y : height - 1 - y)
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * channels
      if (colour) colour.put(valueAt(bytes, row, x, bits), data, at)
      else for (let c = 0; c < 3; c++) data[at + c] = bytes[row + 3 * x + 2 - c] ?? 0
    }
  }
  return { width, height, channels, data }
}

function readHeader(bytes: Buffer, most: number): Header {
  const [start, headerBytes] = [bytes.readUInt32LE(10), bytes.readUInt32LE(14)]
  const isOld = headerBytes === 12 // OS/2 1
  if (bytes.length < 14 + headerBytes) throw new Error('is cut short: its BMP data end early')
  const width = isOld ? bytes.readUInt16LE(18) : bytes.readInt32LE(18)
  const rows = isOld ? bytes.readInt16LE(20) : bytes.readInt32LE(22)
  const bits = bytes.readUInt16LE(isOld ? 24 : 28)
  const compression = isOld ? 0 : bytes.readUInt32LE(30)
  const height = Math.abs(rows)
  if (width <= 0 || height === 0)
    throw new Error(`is damaged: its BMP header says ${width} x ${height} pixels`)
  if (width * height > most) throw new Error(tooManyPixels({ width, height }, most))
  if (![1, 4, 8, 16, 24, 32].includes(bits))
    throw new Error(`is damaged: its BMP header says ${bits} bits a pixel`)
  const plain = compression === 0 || ([3, 6].includes(compression) && (bits === 16 || bits === 32))
  if (!plain)
    throw new Error(
      `is a BMP of a kind that is not read (compression ${compression}); save it as PNG`,
    )
  const stride = 4 * Math.ceil((width * bits) / 32)
  return { width, height, topDown: rows < 0, bits, start, stride, compression, headerBytes }
}

/** Returns the bits of pixel x of the row that begins at byte `row`. */
function valueAt(bytes: Buffer, row: number, x: number, bits: number): number {
  if (bits === 32) return bytes.readUInt32LE(row + 4 * x)
  if (bits === 16) return bytes.readUInt16LE(row + 2 * x)
  const byte = bytes[row + ((x * bits) >> 3)] ?? 0
  return (byte >> (8 - bits - ((x * bits) & 7))) & (2 ** bits - 1)
}

/** Maps a pixel's bits to its channels. */
interface Colour {
  readonly alpha: boolean
  /** Writes the channels of the bits `value` to `out` at `at`. */
  readonly put: (value: number, out: Uint8Array, at: number) => void
}

function palette(bytes: Buffer, { headerBytes }: Header): Colour {
  const each = headerBytes === 12 ? 3 : 4 // blue, green, red, and in later versions an unused byte
  const first = 14 + headerBytes
  return {
    alpha: false,
    put(value, out, at) {
      for (let c = 0; c < 3; c++) out[at + c] = bytes[first + value * each + 2 - c] ?? 0
    },
  }
}

function masked(bytes: Buffer, { bits, compression, headerBytes }: Header): Colour {
  const told = compression !== 0 || headerBytes >= 52 // else the default masks
  const usual = bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff]
  const isSet = told && bytes.readUInt32LE(54) + bytes.readUInt32LE(58) + bytes.readUInt32LE(62) > 0
  const masks = isSet ? [54, 58, 62].map((at) => bytes.readUInt32LE(at)) : usual
  const hasAlpha = isSet && (compression === 6 || headerBytes >= 56)
  const alpha = hasAlpha ? bytes.readUInt32LE(66) : 0
  const channels = [...masks, ...(alpha > 0 ? [alpha] : [])].map((mask) => {
    const low = mask === 0 ? 1 : (mask & -mask) >>> 0
    return { mask, low, most: Math.max(1, mask / low) }
  })
  return {
    alpha: alpha > 0,
    put(value, out, at) {
      channels.forEach(({ mask, low, most }, c) => {
        out[at + c] = Math.round((((value & mask) >>> 0) / low / most) * 255)
      })
    },
  }
}
