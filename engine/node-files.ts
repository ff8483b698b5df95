// Files in Node: written whole or not at all, and read with errors that name them.

import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { checkValue } from '../kernels/options.ts'
import {
  type SafetensorsFile,
  type SavedTensor,
  decodeSafetensors,
  encodeSafetensors,
} from './safetensors.ts'

const DIGEST = 'kindred.sha256' // metadata key of the digest of everything else

export interface WriteOptions {
  /** What to do once the trouble is out of the way: '... free space, then <retry>'. */
  readonly retry?: string
}

/** Resolves when `path` holds `bytes` on disk. They go to a file beside it that is renamed at the end, so that a crash
 *  leaves the old file or the new one, whole. Throws Error in words; what was there before is then untouched. */
export async function writeAtomic(path: string, bytes: Uint8Array, { retry }: WriteOptions = {}) {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    await writeThrough(temporary, bytes)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error is the one to tell
    throw writeError(path, cause, { bytes: bytes.length, ...(retry === undefined ? {} : { retry }) })
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

/** A rename is on disk only once its folder is. */
async function syncFolder(path: string) {
  if (process.platform === 'win32') return // Windows cannot open a folder
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The Error to throw when writing `path` failed with `cause`: what happened in words, then the remedy. `bytes` is the size
 *  of what was to be written. */
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
    EMFILE: `too many files are open; raise the limit (ulimit -n), then ${retry}`,
  }
  return new Error(`cannot write ${path}: ${words[codeOf(cause)] ?? messageOf(cause)}`, { cause })
}

const megabytes = (bytes: number) =>
  bytes < 1e6 ? `${Math.max(1, Math.ceil(bytes / 1e3))} KB` : `${Math.ceil(bytes / 1e6)} MB`

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** The system's code of an error, 'ENOENT'; '' when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Resolves when the tensors and metadata stand in a safetensors file at `path`, written atomically, with a digest that
 *  `load` checks. Throws Error in words. */
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
  const stamped = { ...metadata, [DIGEST]: digest({ tensors, metadata }) }
  await writeAtomic(path, encodeSafetensors({ tensors, metadata: stamped }), options)
}

/** The tensors and metadata of a safetensors file. Throws Error naming the file and what is wrong with it: missing,
 *  truncated, not safetensors, or other values than `save` wrote. */
export async function load(path: string): Promise<SafetensorsFile> {
  const { tensors, metadata } = decode(await readBytes(path), path)
  const { [DIGEST]: expected, ...rest } = metadata
  if (expected !== undefined && expected !== digest({ tensors, metadata: rest }))
    throw new Error(`${path}: its contents are not what was saved; the file is damaged`)
  return { tensors, metadata: rest }
}

function decode(bytes: Uint8Array, path: string): SafetensorsFile {
  try {
    return decodeSafetensors(bytes, path)
  } catch (cause) {
    const message = messageOf(cause)
    if (message.startsWith(path)) throw cause
    throw new Error(`${path}: ${message}; the file is damaged or not safetensors`, { cause })
  }
}

/** The bytes of a file. Throws Error in words. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    const words: Record<string, string> = {
      ENOENT: 'there is no such file',
      ENOTDIR: 'there is no such file',
      EISDIR: 'it is a folder',
      EACCES: 'no permission to read it',
    }
    throw new Error(`cannot read ${path}: ${words[codeOf(cause)] ?? messageOf(cause)}`, { cause })
  }
}

function digest({ tensors, metadata }: SafetensorsFile): string {
  const hash = createHash('sha256')
  // sorted: JSON moves names that look like numbers to the front
  const sorted = <T>(entries: Iterable<[string, T]>) => [...entries].sort(([a], [b]) => (a < b ? -1 : 1))
  hash.update(JSON.stringify(sorted(Object.entries(metadata))))
  for (const [name, { shape, data }] of sorted(tensors)) {
    hash.update(`${name} ${shape.join()} ${data.byteLength}\n`)
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return hash.digest('hex')
}
