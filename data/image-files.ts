// The image files under a folder, in the order of their paths, with what tells a changed file from an unchanged one.

import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, type Skipped } from './dataset.ts'
import type { Stamp } from './record-cache.ts'

export interface ImageFile extends Stamp {
  /** Path below the folder, with '/' between its parts on every system. */
  readonly path: string
}

export interface Found {
  readonly files: ImageFile[]
  /** What could not be looked at. */
  readonly skipped: Skipped[]
  /** Names of the folders directly within. */
  readonly folders: string[]
}

const isImage = (name: string) => /\.(jpe?g|png|webp)$/i.test(name)
const AT_ONCE = 64 // files asked about at a time

/** The JPEG, PNG and WebP files (by extension) at any depth below `root`; names that start with a dot are left out.
 *  Throws DataError when `root` is not a folder. */
export async function findImages(root: string): Promise<Found> {
  const status = await stat(root).catch(() => null)
  if (!status) throw new DataError(`folder: ${root} does not exist`)
  if (!status.isDirectory()) throw new DataError(`folder: ${root} must be a folder of images, got a file`)
  const found: Found = { files: [], skipped: [], folders: [] }
  found.folders.push(...(await walk(found, root, '', [])))
  found.files.sort((a, b) => (a.path < b.path ? -1 : 1))
  return found
}

/** Adds what is in one folder and below; returns the names of the folders in it. `above` are the real paths that lead
 *  there, against links that lead back. */
async function walk(found: Found, root: string, folder: string, above: readonly string[]): Promise<string[]> {
  const folders: string[] = []
  try {
    const real = await realpath(join(root, folder))
    if (above.includes(real)) return []
    const names = (await readdir(real)).filter((name) => !name.startsWith('.')).sort()
    for (let from = 0; from < names.length; from += AT_ONCE) {
      const some = names.slice(from, from + AT_ONCE)
      const kinds = await Promise.all(some.map((name) => note(found, root, folder + name)))
      folders.push(...some.filter((_, i) => kinds[i] === 'folder'))
    }
    for (const name of folders) await walk(found, root, `${folder}${name}/`, [...above, real])
  } catch (error) {
    found.skipped.push({ file: folder || '.', reason: plain(error) })
  }
  return folders
}

/** Adds a file when it is an image, and says what kind of thing the path is. */
async function note(found: Found, root: string, path: string): Promise<'folder' | 'file'> {
  try {
    const status = await stat(join(root, path))
    if (status.isDirectory()) return 'folder'
    if (isImage(path)) found.files.push({ path, mtime: status.mtimeMs, bytes: status.size })
  } catch (error) {
    if (isImage(path)) found.skipped.push({ file: path, reason: plain(error) })
  }
  return 'file'
}

const plain = (error: unknown) => (error instanceof Error ? error.message : String(error))
