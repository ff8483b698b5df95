// Storages: the ranges of buffers that hold tensors. Tensors that share numbers share a storage.

import { wholeWords } from '../values.ts'

/** A buffer of ours. `id` orders the pool; `used` is the last command buffer that touches it. */
export interface Block {
  readonly id: number
  readonly buffer: GPUBuffer
  used: number
  idleSince: number
  /** How often it was written in place. */
  writes: number
}

/** What freed a storage's memory, in words. */
export type End =
  | 'the step it was made in'
  | 'the noGrad it was made in; return it from there'
  | 'gpu.free gave its memory back'

/** The range of a block that one or more tensors share. `block` is null once it was freed, and
 *  `end` says by what. */
export interface Storage {
  block: Block | null
  end: End
  offset: number
  readonly bytes: number
  /** Whether it is a variable's: no step frees it, and it may share its block with others. */
  readonly permanent: boolean
  /** An array that tells the garbage collector its weight, while only that decides how long it
   *  lives. */
  pressure: ArrayBuffer | null
  /** Set so that moving to another block does not count as a write: see `version`. */
  bias: number
}

/** A range of a block, in whole words, as a kernel is bound to it. */
export interface Binding {
  readonly block: Block
  readonly offset: number
  readonly bytes: number
}

/** Where a storage lies. Throws Error when it was freed. */
export function bindingOf({ block, end, offset, bytes }: Storage): Binding {
  if (!block) throw new Error(`a tensor was used after ${end}`)
  return { block, offset, bytes: wholeWords(bytes) }
}

/** Makes a storage on a block, from its first byte unless told. */
export function storageOn(
  block: Block,
  { bytes, offset = 0, permanent = false }: { bytes: number; offset?: number; permanent?: boolean },
): Storage {
  const end = 'the step it was made in'
  return { block, end, offset, bytes, permanent, pressure: null, bias: 0 }
}

/** A number that grows when the storage is written in place. */
export const version = ({ block, bias }: Storage) => (block?.writes ?? 0) + bias
