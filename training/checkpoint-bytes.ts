// A checkpoint as the bytes of its file, without Node. A run folder's files are the same.

import { wholeCheckpoint } from './checkpoint-file.ts'
import { decodeDigested, encodeDigested } from './digested-file.ts'
import type { Checkpoint } from './storage.ts'

/** Encodes the file of a checkpoint, with its digest. */
export const encodeCheckpoint = ({
  step,
  tensors,
  metadata,
}: Pick<Checkpoint, 'step' | 'tensors' | 'metadata'>): Promise<Uint8Array<ArrayBuffer>> =>
  encodeDigested({ tensors, metadata: { ...metadata, step: String(step) } })

/** Decodes the file of a checkpoint. Messages call it `path`. Throws Error in words if it is
 *  damaged, or none of a run. */
export async function decodeCheckpoint(bytes: Uint8Array, path: string): Promise<Checkpoint> {
  return wholeCheckpoint(await decodeDigested(bytes, path), path)
}
