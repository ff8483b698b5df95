// A safetensors file with the digest of its contents, without Node. Files that Node saves are the
// same.

import { bytesToHex } from '@noble/hashes/utils.js'
import { DIGEST, digestedBytes } from '../engine/file-digest.ts'
import {
  type SafetensorsFile,
  decodeSafetensors,
  encodeSafetensors,
} from '../engine/safetensors.ts'

/** Encodes a file with its digest. */
export async function encodeDigested(file: SafetensorsFile): Promise<Uint8Array<ArrayBuffer>> {
  const stamp = { [DIGEST]: await digestOf(file) }
  return encodeSafetensors({ ...file, metadata: { ...file.metadata, ...stamp } })
}

/** Decodes a file, which messages call `path`. Throws Error in words if it is damaged, or has no
 *  digest where one is needed. */
export async function decodeDigested(
  bytes: Uint8Array | ArrayBuffer,
  path: string,
  { needed = false }: { readonly needed?: boolean } = {},
): Promise<SafetensorsFile> {
  const { tensors, metadata } = decodeSafetensors(bytes, path)
  const { [DIGEST]: expected, ...rest } = metadata
  const file = { tensors, metadata: rest }
  if (needed && expected === undefined)
    throw new Error(
      `${path}: its metadata lack ${DIGEST}, the digest of its contents, so it may be damaged; ` +
        'pack the run again',
    )
  if (expected !== undefined && expected !== (await digestOf(file)))
    throw new Error(`${path}: its contents are not what was saved; the file is damaged`)
  return file
}

/** The digest of a file, computed beside the page's own thread. */
async function digestOf(file: SafetensorsFile): Promise<string> {
  const parts = [...digestedBytes(file)]
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  for (const part of parts) {
    all.set(part, end)
    end += part.length
  }
  return bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', all)))
}
