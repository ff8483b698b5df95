// Tells a file's format by its first bytes, not by its name, and what is wrong with a file that
// does not decode. The same bytes give the same words, whatever other threads decode. Imports
// nothing of Node, so that a browser can use it.

/** Formats that are decoded. */
export type Format = 'JPEG' | 'PNG' | 'WebP' | 'GIF' | 'TIFF' | 'BMP' | 'AVIF'

/** Tells whether a file's extension is that of an image. */
export const isImageName = (name: string) =>
  /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|dib|avif)$/i.test(name)

const formats: readonly Format[] = ['JPEG', 'PNG', 'WebP', 'GIF', 'TIFF', 'BMP', 'AVIF']

/** Beginnings of files by kind: texts, one character a byte, or patterns. */
const beginnings: readonly (readonly [kind: string, ...begins: (string | RegExp)[]])[] = [
  ['JPEG', '\xff\xd8\xff'],
  ['PNG', '\x89PNG\r\n\x1a\n'],
  ['WebP', /^RIFF[^]{4}WEBP/],
  ['GIF', 'GIF87a', 'GIF89a'],
  ['TIFF', 'II*\0', 'II+\0', 'MM\0*', 'MM\0+'],
  ['BMP', 'BM'],
  ['AVIF', /^[^]{4}ftyp(avi[fs]|[^]{4,40}avif)/],
  ['HEIC', /^[^]{4}ftyp(hei[cxms]|hev|mi[fa]|msf)/],
  ['JPEG XL', '\xff\x0a', '\0\0\0\x0cJXL '],
  ['JPEG 2000', '\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'],
  ['PDF', '%PDF'],
  ['PSD', '8BPS'],
  ['an icon', '\0\0\x01\0', '\0\0\x02\0'],
  ['a zip archive', 'PK\x03\x04'],
  ['gzip data', '\x1f\x8b'],
  ['a Git LFS pointer', 'version https://git-lfs'],
  ['HTML', /^(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)/i],
  ['SVG', /^(\xef\xbb\xbf)?\s*(<\?xml[^]*)?<svg/i],
  ['XML', /^(\xef\xbb\xbf)?\s*<\?xml/],
]

/** Returns the kind of the bytes; null when no beginning fits. */
export const kindOfBytes = (bytes: Uint8Array): string | null => {
  const start = charactersOf(bytes.subarray(0, 512))
  const isOne = (begin: string | RegExp) =>
    typeof begin === 'string' ? start.startsWith(begin) : begin.test(start)
  return beginnings.find(([, ...begins]) => begins.some(isOne))?.[0] ?? null
}

/** Returns an image's format. Throws Error that says what the bytes are when they are no image. */
export function formatOf(bytes: Uint8Array): Format {
  if (bytes.length === 0) throw new Error('is empty')
  const kind = kindOfBytes(bytes)
  const format = formats.find((name) => name === kind)
  if (format) return format
  const told = kind === null ? 'is of an unknown format' : `holds ${kind}`
  throw new Error(`${told}, not an image of a format that is read (${formats.join(', ')})`)
}

/** Says that an image of this size has more than `most` pixels. */
export const tooManyPixels = (
  { width, height }: { readonly width: number; readonly height: number },
  most: number,
): string => `is too large: ${width} x ${height} pixels, at most ${most} are read`

/** Says why an image of this format does not decode: it ends early, or it is damaged within. */
export const damageOf = (bytes: Uint8Array, format: Format): string =>
  endsEarly(bytes, format)
    ? `is cut short: its ${format} data end early`
    : `is damaged: its ${format} data cannot be decoded`

/** Few bytes as a text of one character each. */
const charactersOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

function endsEarly(bytes: Uint8Array, format: Format): boolean {
  const tail = charactersOf(bytes.subarray(-4096))
  if (format === 'JPEG') return !tail.includes('\xff\xd9')
  if (format === 'PNG') return !tail.includes('IEND')
  if (format === 'GIF') return !tail.includes('\x3b')
  if (bytes.length < 16) return true
  const header = new DataView(bytes.buffer, bytes.byteOffset, 16)
  if (format === 'WebP') return header.getUint32(4, true) + 8 > bytes.length
  return format === 'BMP' && header.getUint32(2, true) > bytes.length
}
