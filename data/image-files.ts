// What lies under a folder: the image files in the order of their paths, with what tells a changed
// file from an unchanged one, and what is no image.

import { readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { type Skipped } from './dataset.ts'
import { isImageName } from './image-format.ts'
import { kindOf, lookAt, namesIn, troubleOf } from './paths.ts'
import type { Stamp } from './record-cache.ts'

export interface ImageFile extends Stamp {
  /** Path below the folder, with '/' between its parts on every system. */
  readonly path: string
}

export interface Found {
  readonly files: ImageFile[]
  /** What could not be looked at. */
  readonly skipped: Skipped[]
  /** The folders at any depth. */
  readonly folders: string[]
  /** Files that are no images by their extension. */
  readonly others: string[]
}

const AT_ONCE = 64 // files asked about at a time

// what systems leave in folders of their own accord
const isLitter = (name: string) =>
  name.startsWith('.') ||
  /^(__MACOSX|thumbs\.db|ehthumbs\.db|desktop\.ini|@eaDir|\$RECYCLE\.BIN)$/i.test(name)

/** The images (by extension) at any depth below `root`, and what else is there; names that start
 *  with a dot are left out, and so is what systems put there by themselves. Throws DataError
 *  when `root` is not a folder. */
export async function findImages(root: string): Promise<Found> {
  await namesIn('folder', root, 'a folder of images')
  const found: Found = { files: [], skipped: [], folders: [], others: [] }
  await walk(found, root, '', [])
  const key = new Map(found.files.map(({ path }) => [path, path.normalize('NFC')]))
  const keyOf = (path: string) => key.get(path) ?? path
  found.files.sort((a, b) => (keyOf(a.path) < keyOf(b.path) ? -1 : 1))
  return found
}

/** Adds what is in one folder and below. `above` are the real paths that lead there, against
 *  links that lead back. */
async function walk(found: Found, root: string, folder: string, above: readonly string[]) {
  const folders: string[] = []
  const file = folder.slice(0, -1) || '.'
  try {
    const real = await realpath(join(root, folder))
    if (above.includes(real)) {
      found.skipped.push({ file, reason: 'is a link back to a folder that it is in' })
      return
    }
    const names = (await readdir(real)).filter((name) => !isLitter(name)).sort()
    for (let from = 0; from < names.length; from += AT_ONCE) {
      const some = names.slice(from, from + AT_ONCE)
      const kinds = await Promise.all(some.map((name) => note(found, root, folder + name)))
      folders.push(...some.filter((_, i) => kinds[i] === 'folder'))
    }
    for (const name of folders) {
      found.folders.push(folder + name)
      await walk(found, root, `${folder}${name}/`, [...above, real])
    }
  } catch (error) {
    found.skipped.push({ file, reason: await troubleOf(error, join(root, folder)) })
  }
}

/** Adds a file when it is an image, and says what kind of thing the path is. Nothing is opened:
 *  a pipe would never end. */
async function note(found: Found, root: string, path: string): Promise<'folder' | 'file'> {
  const { status, trouble } = await lookAt(join(root, path))
  if (!status) found.skipped.push({ file: path, reason: trouble })
  else if (status.isDirectory()) return 'folder'
  else if (!status.isFile()) found.skipped.push({ file: path, reason: `is ${kindOf(status)}, not a file` })
  else if (isImageName(path)) found.files.push({ path, mtime: status.mtimeMs, bytes: status.size })
  else found.others.push(path)
  return 'file'
}
