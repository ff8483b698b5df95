// Reads and writes files in Node. A file is written whole or not at all; errors name it.

import { createHash } from 'node:crypto'
import { type FileHandle, lstat, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { checkValue } from '../kernels/options.ts'
import { printable } from '../kernels/printable.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { DIGEST, digestedBytes } from './file-digest.ts'
import {
  type SafetensorsFile,
  type SavedTensor,
  decodeSafetensors,
  encodeSafetensors,
} from './safetensors.ts'

export interface WriteOptions {
  /** Completes the remedy in an error: 'free space, then <retry>'. */
  readonly retry?: string
}

/** Writes `bytes` to `path`, and resolves when they are on disk. Writes a file beside it and
 *  renames that, so that a crash leaves the old file or the new one, whole. Throws Error with a
 *  remedy; the old file is then unchanged. */
export async function writeAtomic(path: string, bytes: Uint8Array, options: WriteOptions = {}) {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    await writeThrough(temporary, bytes)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is thrown below
    throw writeError(path, cause, { bytes: bytes.length, ...options })
  }
}

async function writeThrough(path: string, bytes: Uint8Array) {
  let file: FileHandle | null = null
  try {
    file = await open(path, 'w')
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file?.close()
  }
}

/** Syncs a folder: a rename is on disk only once its folder is. */
async function syncFolder(path: string) {
  if (process.platform === 'win32') return // Windows cannot open a folder
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes the Error for a failed write of `bytes` bytes to `path`: the cause in words, then the
 *  remedy. */
export function writeError(
  path: string,
  cause: unknown,
  { bytes, retry = 'try again' }: WriteOptions & { readonly bytes?: number } = {},
): Error {
  const needs = bytes === undefined ? '' : ` (needs ${megabytes(bytes)})`
  const words: Record<string, string> = {
    ENOSPC: `the disk is full${needs}; free space, then ${retry}`,
    EDQUOT: `your disk quota is used up${needs}; free space, then ${retry}`,
    EFBIG: `the file is larger than allowed here${needs}; raise the limit (ulimit -f), then ${retry}`,
    EACCES: 'no permission to write there; choose another folder, or change its permissions',
    EPERM: 'no permission to write there; choose another folder, or change its permissions',
    EROFS: 'the file system is read-only; choose another folder',
    ENOENT: 'the folder does not exist',
    ENOTDIR: 'part of the path is a file, not a folder; choose another folder',
    EEXIST: 'part of the path is a file, not a folder; choose another folder',
    EISDIR: 'it is a folder',
    ELOOP: 'its links lead in a circle; choose another folder',
    ENAMETOOLONG: 'a name in the path is too long; choose a shorter one',
    EMFILE: `too many files are open; raise the limit (ulimit -n), then ${retry}`,
  }
  const why = words[codeOf(cause)] ?? printable(reasonOf(cause))
  return new Error(`cannot write ${printable(path)}: ${why}`, { cause })
}

/** Makes a folder, and those above it that are missing. Throws Error with a remedy. */
export async function makeFolder(path: string) {
  try {
    await make(resolve(path))
  } catch (cause) {
    throw writeError(path, cause)
  }
}

// mkdir's own `recursive` takes a read-only file system for a missing folder, and never ends in
// /proc
async function make(path: string) {
  const failed = await mkdir(path).then(
    () => null,
    (error: unknown) => error,
  )
  const found = failed === null ? null : await stat(path).catch(() => null)
  if (failed === null || found?.isDirectory()) return
  if (found) throw new Error('there is a file, not a folder; choose another', { cause: failed })
  if (
    codeOf(failed) === 'EEXIST' &&
    codeOf(await stat(path).catch((error: unknown) => error)) === 'ENOENT'
  )
    throw new Error('there is a link to what does not exist; choose another folder', {
      cause: failed,
    })
  if (codeOf(failed) !== 'ENOENT' || dirname(path) === path) throw failed
  if (await stat(dirname(path)).catch(() => null))
    throw new Error('no folder can be made there; choose another folder', { cause: failed })
  await make(dirname(path))
  await make(path)
}

/** Writes a number of bytes in words: '12 KB', '3 MB'. */
export const megabytes = (bytes: number): string =>
  bytes < 1e6 ? `${Math.max(1, Math.ceil(bytes / 1e3))} KB` : `${Math.ceil(bytes / 1e6)} MB`

/** Returns the system's code of an error, such as 'ENOENT', or ''. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Saves tensors and metadata as a safetensors file at `path`, written atomically, with a digest
 *  that `load` checks. Throws Error with a remedy. */
export async function save(
  path: string,
  tensors: ReadonlyMap<string, SavedTensor>,
  metadata: Readonly<Record<string, string>> = {},
  options: WriteOptions = {},
) {
  const tensorMap = {
    words: 'a map of tensors, as saveModel returns',
    fits: (v: unknown) => v instanceof Map,
  }
  checkValue('save', 'tensors', tensors, tensorMap)
  await writeAtomic(path, encodeStamped({ tensors, metadata }), options)
}

/** Encodes a safetensors file with a digest that `load` checks. Throws like `encodeSafetensors`. */
export function encodeStamped({ tensors, metadata }: SafetensorsFile): Uint8Array<ArrayBuffer> {
  const stamped = { ...metadata, [DIGEST]: digest({ tensors, metadata }) }
  return encodeSafetensors({ tensors, metadata: stamped })
}

/** Loads the tensors and metadata of a safetensors file. Throws Error naming the file and its
 *  fault: missing, truncated, not safetensors, or other values than `save` wrote. */
export async function load(path: string): Promise<SafetensorsFile> {
  const { tensors, metadata } = decodeSafetensors(await readBytes(path), path)
  const { [DIGEST]: expected, ...rest } = metadata
  if (expected !== undefined && expected !== digest({ tensors, metadata: rest }))
    throw new Error(`${printable(path)}: its contents are not what was saved; the file is damaged`)
  return { tensors, metadata: rest }
}

/** Reads a file. Throws Error in words, also for a pipe, which could be waited for without end. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path)
    if (!found.isFile() && !found.isDirectory())
      throw new Error('it is a pipe, a socket or a device, and must be a file')
    return await readFile(path)
  } catch (cause) {
    const words: Record<string, string> = {
      ENOENT: 'there is no such file',
      ENOTDIR: 'part of the path is a file, not a folder',
      EISDIR: 'it is a folder',
      EACCES: 'no permission to read it',
      ELOOP: 'its links lead in a circle',
      ENAMETOOLONG: 'a name in the path is too long',
    }
    const isBrokenLink =
      codeOf(cause) === 'ENOENT' && (await lstat(path).catch(() => null))?.isSymbolicLink()
    const why = isBrokenLink ? 'it is a link to what does not exist' : words[codeOf(cause)]
    const said = why ?? printable(reasonOf(cause))
    throw new Error(`cannot read ${printable(path)}: ${said}`, { cause })
  }
}

function digest(file: SafetensorsFile): string {
  const hash = createHash('sha256')
  for (const bytes of digestedBytes(file)) hash.update(bytes)
  return hash.digest('hex')
}
