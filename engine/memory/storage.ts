// Where tensors lie: ranges of buffers. Tensors that share numbers share a storage.

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

/** What took a storage's memory back, in words. */
export type End =
  | 'the step it was made in'
  | 'the noGrad it was made in; return it from there'
  | 'gpu.free gave its memory back'

/** The range of a block that one or more tensors share. `block` is null once it was reclaimed, and `end` tells by what. */
export interface Storage {
  block: Block | null
  end: End
  offset: number
  readonly bytes: number
  /** A variable's: no step takes it back, and it may share its block with others. */
  readonly permanent: boolean
  /** What tells the garbage collector of its weight, while nothing but that decides how long it lives. */
  pressure: ArrayBuffer | null
  /** Set so that moving to another block does not count as a write: see `version`. */
  bias: number
}

/** A range of a block, in whole words, as kernels are given it. */
export interface Binding {
  readonly block: Block
  readonly offset: number
  readonly bytes: number
}

/** Where a storage lies. Throws Error when it was taken back. */
export function bindingOf({ block, end, offset, bytes }: Storage): Binding {
  if (!block) throw new Error(`a tensor was used after ${end}`)
  return { block, offset, bytes: wholeWords(bytes) }
}

/** A storage on a block, from its first byte unless told. */
export function storageOn(
  block: Block,
  { bytes, offset = 0, permanent = false }: { bytes: number; offset?: number; permanent?: boolean },
): Storage {
  const end = 'the step it was made in'
  return { block, end, offset, bytes, permanent, pressure: null, bias: 0 }
}

/** A number that grows when the storage is written in place. */
export const version = ({ block, bias }: Storage) => (block?.writes ?? 0) + bias
