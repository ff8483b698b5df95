// A checkpoint as the bytes of its file, without Node. A run folder's files are the same.

import { bytesToHex } from '@noble/hashes/utils.js'
import { DIGEST, digestedBytes } from '../engine/file-digest.ts'
import {
  type SafetensorsFile,
  decodeSafetensors,
  encodeSafetensors,
} from '../engine/safetensors.ts'
import { wholeCheckpoint } from './checkpoint-file.ts'
import type { Checkpoint } from './storage.ts'

/** Encodes the file of a checkpoint, with its digest. */
export async function encodeCheckpoint({
  step,
  tensors,
  metadata,
}: Pick<Checkpoint, 'step' | 'tensors' | 'metadata'>): Promise<Uint8Array<ArrayBuffer>> {
  const own = { ...metadata, step: String(step) }
  const stamp = { [DIGEST]: await digestOf({ tensors, metadata: own }) }
  return encodeSafetensors({ tensors, metadata: { ...own, ...stamp } })
}

/** Decodes the file of a checkpoint. Messages call it `path`. Throws Error in words if it is damaged,
 *  or none of a run. */
export async function decodeCheckpoint(bytes: Uint8Array, path: string): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(bytes, path)
  const { [DIGEST]: expected, ...rest } = metadata
  const file = { tensors, metadata: rest }
  if (expected !== undefined && expected !== (await digestOf(file)))
    throw new Error(`${path}: its contents are not what was saved; the file is damaged`)
  return wholeCheckpoint(file, path)
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
