// The checksums of a zip's entries, which fflate does not verify.

import type * as fflate from 'fflate'

const [END, ENTRY] = [0x06054b50, 0x02014b50] // signatures (APPNOTE.TXT 4.3.16, 4.3.12)

/** Lists the CRC-32 of each entry in the order of the zip's list; none for a zip of more than 4
 *  GiB, whose list has another form. */
export function checksumsIn(zip: Uint8Array): readonly number[] {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength)
  let end = zip.length - 22
  while (end >= 0 && view.getUint32(end, true) !== END) end--
  const found: number[] = []
  let at = end < 0 ? zip.length : view.getUint32(end + 16, true)
  while (at + 46 <= zip.length && view.getUint32(at, true) === ENTRY) {
    found.push(view.getUint32(at + 16, true))
    at += 46 + [28, 30, 32].reduce((sum, part) => sum + view.getUint16(at + part, true), 0)
  }
  return found
}

/** Returns the CRC-32 of bytes: gzip ends with it, then their number. */
export function crc32(bytes: Uint8Array, { gzipSync }: Pick<typeof fflate, 'gzipSync'>): number {
  const { buffer, byteOffset, length } = gzipSync(bytes, { level: 0 })
  return new DataView(buffer, byteOffset, length).getUint32(length - 8, true)
}
