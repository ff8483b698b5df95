// SHA-256 for storages without their own.

import { sha256 as begin } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { Sha256 } from './storage.ts'

/** Begins a SHA-256 digest, by a library in plain JavaScript. */
export const sha256: Sha256 = () => {
  const hash = begin.create()
  return { update: (bytes) => hash.update(bytes), hex: () => bytesToHex(hash.digest()) }
}
