// The digest in a safetensors file that Kindred writes: SHA-256 of its metadata and tensors,
// whatever their order in the file.

import type { SafetensorsFile } from './safetensors.ts'

/** Metadata key of the digest of all else. */
export const DIGEST = 'kindred.sha256'

/** Yields the bytes that the digest covers, in order. */
export function* digestedBytes({ tensors, metadata }: SafetensorsFile): Generator<Uint8Array> {
  const utf8 = new TextEncoder()
  yield utf8.encode(JSON.stringify(sorted(Object.entries(metadata))))
  for (const [name, { shape, data }] of sorted(tensors)) {
    yield utf8.encode(`${name} ${shape.join()} ${data.byteLength}\n`)
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
}

// JavaScript moves keys that look like numbers to the front
const sorted = <T>(entries: Iterable<[string, T]>) =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : 1))
