// Storages: the ranges of buffers that hold tensors. Tensors that share numbers share a storage.

import { wholeWords } from '../values.ts'
import { USAGE, usageNames } from './usages.ts'

/** A buffer of a pool. */
export interface Block {
  /** Orders the pool. */
  readonly id: number
  readonly buffer: GPUBuffer
  /** True for an app's: its own commands use it too. */
  readonly isShared: boolean
  /** The number of the last command buffer that uses it. */
  used: number
  /** The step since which it is free; -1 while that is not known. */
  idleSince: number
  /** How often it was written in place. */
  writes: number
}

/** Completes "a tensor was used after ...". */
export type End =
  | 'the step it was made in'
  | 'the noGrad it was made in; return it from there'
  | 'gpu.free gave its memory back'
  | `the body of ${string}`

/** The range of a block that one or more tensors share. */
export interface Storage {
  /** Null once the storage was freed; `end` says by what. */
  block: Block | null
  end: End
  offset: number
  readonly bytes: number
  /** True for a variable's: no step frees it, and it may share its block with others. */
  readonly permanent: boolean
  /** An array that tells the garbage collector the storage's size, while only the collector decides
   *  how long it lives. */
  pressure: ArrayBuffer | null
  /** Added to the block's writes, so that moving to another block does not count as a write. */
  versionOffset: number
}

/** A range of a block, in whole words, as a kernel is bound to it. */
export interface Binding {
  readonly block: Block
  readonly offset: number
  readonly bytes: number
}

/** Returns the range of a storage. Throws Error if it was freed. */
export function bindingOf({ block, end, offset, bytes }: Storage): Binding {
  if (!block) throw new Error(`a tensor was used after ${end}`)
  return { block, offset, bytes: wholeWords(bytes) }
}

/** Returns the storage. Throws Error if its buffer, which may be an app's, lacks a usage. */
export function needing(storage: Storage, usage: 'COPY_SRC' | 'COPY_DST'): Storage {
  const { block } = storage
  if (block && (block.buffer.usage & USAGE[usage]) === 0)
    throw new Error(
      `a buffer that gpu.wrap was given has the usages ${usageNames(block.buffer.usage)}, and a copy ${usage === 'COPY_SRC' ? 'from' : 'into'} it needs ${usage} too`,
    )
  return storage
}

/** Makes a storage on a block, from its first byte by default. */
export function storageOn(
  block: Block,
  { bytes, offset = 0, permanent = false }: { bytes: number; offset?: number; permanent?: boolean },
): Storage {
  const end = 'the step it was made in'
  return { block, end, offset, bytes, permanent, pressure: null, versionOffset: 0 }
}

/** Returns a number that grows when the storage is written in place. */
export const versionOf = ({ block, versionOffset }: Storage) => (block?.writes ?? 0) + versionOffset
