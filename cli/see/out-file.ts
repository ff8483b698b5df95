// The files that a command makes: never over another unless asked, whole or not at all, and nothing
// left behind at Ctrl-C.

import { rmSync } from 'node:fs'
import { type FileHandle, access, constants, lstat, open, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf, writeError } from '../../engine/node-files.ts'
import { printable } from '../../kernels/printable.ts'
import { UsageError } from '../../training/choice.ts'
import { INTERRUPTED } from '../interrupt.ts'
import { placeTogether } from './place-together.ts'

/** Parts of a file, in order. */
export type FileParts = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

const unfinished = new Set<string>()

/** Removes unfinished files and ends the process with 130 at Ctrl-C, SIGTERM and SIGHUP, after
 *  `say`, if that is given. */
export function leaveClean(say?: () => void) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      for (const path of unfinished) rmSync(path, { recursive: true, force: true })
      say?.()
      process.exit(INTERRUPTED)
    })
}

/** Throws Error if a file or folder cannot be made at `path`: something is there and `force` is
 *  false, or its folder is missing or closed to writing. `flag` names it. Throws UsageError for a
 *  name that is only an ending, as '.csv'. */
export async function checkFree(flag: string, path: string, force = false) {
  if (/^\.[^.]*$/.test(basename(path)))
    throw new UsageError(`${flag}: must have a name before its ending, got ${path}`)
  const found = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    throw writeError(path, error)
  })
  if (found?.isDirectory()) throw new Error(`${flag}: ${printable(path)} is a folder; name a file`)
  if (found && !force) throw taken(flag, path)
  await access(dirname(path), constants.W_OK).catch((error: unknown) => {
    throw writeError(path, error)
  })
}

const taken = (flag: string, path: string) =>
  new Error(`${flag}: ${printable(path)} exists; add --force to replace it, or give another name`)

/** Returns the name under which a file or folder is made before it gets its own. It is removed at
 *  Ctrl-C, until `discarded`. */
export function draftOf(path: string): string {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  unfinished.add(draft)
  return draft
}

/** Removes what is left of a draft. */
export async function discarded(draft: string) {
  await rm(draft, { recursive: true, force: true }).catch(() => undefined)
  unfinished.delete(draft)
}

/** Writes a file of parts, which need not fit into memory together. It appears whole, once it is on
 *  disk. Throws Error with a remedy, also if something has appeared at `path` and `force` is
 *  false. */
export const writeNew = (flag: string, path: string, parts: FileParts, force = false) =>
  writeTogether(flag, [[path, parts]], force)

/** Writes files as `writeNew` does, all or none: none appears before all are on disk, and with
 *  `force` none is replaced unless all can be. */
export async function writeTogether(
  flag: string,
  files: readonly (readonly [path: string, parts: FileParts])[],
  force = false,
) {
  for (const [path] of files) await checkFree(flag, path, force)
  const drafts = files.map(([path, parts]) => ({ path, parts, draft: draftOf(path) }))
  let at = ''
  try {
    for (const { path, parts, draft } of drafts) {
      at = path
      await writeParts(draft, parts)
    }
    placeTogether(drafts, force, (path) => (at = path))
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') throw taken(flag, at)
    throw isSaid(cause) ? cause : writeError(at, cause)
  } finally {
    for (const { draft } of drafts) await discarded(draft)
  }
}

/** Tells whether an error is not of the file system, and so has its words already. */
const isSaid = (error: unknown) => !(error instanceof Error && 'syscall' in error)

/** Writes the parts to a file, down to the disk. Throws the file system's error. */
export async function writeParts(path: string, parts: FileParts) {
  let file: FileHandle | null = null
  try {
    file = await open(path, 'w')
    for await (const part of parts) await file.writeFile(part)
    await file.sync()
  } finally {
    await file?.close()
  }
}
