// Looks at paths and says in words what is there: a file, a folder, a link, or something else, such
// as a pipe. Opening a pipe would wait without end.

import type { Stats } from 'node:fs'
import { lstat, readFile, readdir, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { codeOf } from '../engine/node-files.ts'
import { nearestName } from '../kernels/options.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { DataError } from './dataset.ts'

/** A file's status, or why there is none. `isMissing` is true if nothing is there, or nothing where
 *  a link leads. */
export type Look =
  | { readonly status: Stats; readonly trouble: null; readonly isMissing: false }
  | { readonly status: null; readonly trouble: string; readonly isMissing: boolean }

/** Looks at `path`, following links. */
export async function lookAt(path: string): Promise<Look> {
  try {
    return { status: await stat(path), trouble: null, isMissing: false }
  } catch (error) {
    const isMissing = codeOf(error) === 'ENOENT' && !isUnnamed(path)
    return { status: null, trouble: await troubleOf(error, path), isMissing }
  }
}

const words: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'cannot be reached: part of the path is a file, not a folder',
  EACCES: 'cannot be read: no permission; change its permissions, or ask its owner',
  EPERM: 'cannot be read: no permission; change its permissions, or ask its owner',
  ELOOP: 'cannot be reached: its links lead in a circle',
  ENAMETOOLONG: 'cannot be reached: a name in the path is too long',
  EISDIR: 'is a folder, not a file',
  EMFILE: 'cannot be read: too many files are open; raise the limit (ulimit -n)',
  EIO: 'cannot be read: the disk reports an error',
}

/** Whether a path has a name that is not UTF-8: it cannot be looked at, whatever is there. */
const isUnnamed = (path: string) => path.includes('\ufffd')

/** Says why `path` could not be looked at or read. The words follow its name in a sentence. */
export async function troubleOf(error: unknown, path: string): Promise<string> {
  const code = codeOf(error)
  if (code === 'ENOENT') {
    const isLink = (await lstat(path).catch(() => null))?.isSymbolicLink()
    if (isLink) return `is a link to ${await readlink(path)}, which does not exist`
    if (isUnnamed(path)) return 'has a name that is not UTF-8; rename it'
  }
  return words[code] ?? `cannot be read: ${reasonOf(error)}`
}

/** Returns the kind of a path: 'a file', 'a folder', 'a pipe'. */
export function kindOf(status: Stats): string {
  if (status.isFile()) return 'a file'
  if (status.isDirectory()) return 'a folder'
  if (status.isFIFO()) return 'a pipe'
  return status.isSocket() ? 'a socket' : 'a device'
}

/** Lists the names in a folder. Throws DataError for anything else: `what`, then what the path must
 *  be (`rule`) and what it is. */
export async function namesIn(
  what: string,
  path: string,
  rule: string,
  remedy = '',
): Promise<string[]> {
  const { status, trouble, isMissing } = await lookAt(path)
  if (!status) {
    const hint = isMissing ? await hintFor(path, rule) : ''
    throw new DataError(`${what}: ${path} ${trouble}${hint}`)
  }
  if (!status.isDirectory())
    throw new DataError(`${what}: ${path} must be ${rule}, got ${kindOf(status)}${remedy}`)
  try {
    return await readdir(path)
  } catch (cause) {
    throw new DataError(`${what}: ${path} ${await troubleOf(cause, path)}`, { cause })
  }
}

/** What to give instead of a folder that does not exist: a name beside it that is like its own,
 *  else what the rule says. */
async function hintFor(path: string, rule: string): Promise<string> {
  const [parent, own] = [dirname(path), basename(path)]
  const beside = await readdir(parent).catch(() => [])
  const near = nearestName(
    own,
    beside.filter((name) => name !== own),
  )
  return near === undefined ? `; give ${rule}` : `; did you mean ${join(parent, near)}?`
}

/** Returns the size of a file in bytes. Throws DataError for anything but a file. */
export async function sizeOfFile(what: string, path: string): Promise<number> {
  const { status, trouble } = await lookAt(path)
  if (!status) throw new DataError(`${what}: ${path} ${trouble}`)
  if (!status.isFile())
    throw new DataError(`${what}: ${path} must be a file, got ${kindOf(status)}`)
  return status.size
}

/** Reads a file. Throws DataError for anything else, and for a file that cannot be read. */
export async function readDataFile(what: string, path: string): Promise<Buffer> {
  await sizeOfFile(what, path)
  try {
    return await readFile(path)
  } catch (cause) {
    throw new DataError(`${what}: ${path} ${await troubleOf(cause, path)}`, { cause })
  }
}

/** Reads the lines of a text file, trimmed, without blank ones; [] where there is no file. Throws
 *  DataError as `readDataFile` does. */
export async function readLines(what: string, path: string): Promise<string[]> {
  const isMissing = await lstat(path).then(
    () => false,
    (error: unknown) => codeOf(error) === 'ENOENT',
  )
  if (isMissing) return []
  const lines = (await readDataFile(what, path)).toString('utf8').split(/\r?\n/)
  return lines.map((line) => line.trim()).filter((line) => line !== '')
}
