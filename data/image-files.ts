// Finds the image files under a folder, with the stamps that tell changed files from unchanged
// ones, and all other files.

import type { Stats } from 'node:fs'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { Skipped } from './dataset.ts'
import { isHalf } from './half-names.ts'
import { isImageName } from './image-format.ts'
import { kindOf, lookAt, namesIn, troubleOf } from './paths.ts'
import type { Stamp } from './record-cache.ts'

export interface ImageFile extends Stamp {
  /** Path below the folder, with '/' between its parts on every system. */
  readonly path: string
  /** Identifies the file whatever links lead to it; missing where the system does not tell. */
  readonly id?: string
}

/** An image, with the class and the half that its folders name. */
export interface Placed extends ImageFile {
  /** Name of the class, normalised as NFC; null where there is none. */
  readonly label: string | null
  readonly isTest: boolean
}

export interface Found {
  readonly files: ImageFile[]
  /** Paths that were not read, sorted. */
  readonly skipped: Skipped[]
  /** Folders at any depth, sorted. */
  readonly folders: string[]
  /** Files that are no images by their extension, sorted. */
  readonly others: string[]
}

const AT_ONCE = 64 // files asked about at a time

// files and folders that systems make by themselves
const isLitter = (name: string) =>
  name.startsWith('.') ||
  /^(__MACOSX|thumbs\.db|ehthumbs\.db|desktop\.ini|@eaDir|\$RECYCLE\.BIN)$/i.test(name)

/** Finds the images (by extension) and other files at any depth below `root`, sorted by path.
 *  Leaves out names that start with a dot and files that systems make by themselves. Reads a folder
 *  once, however many links lead to it. Throws DataError when `root` is not a folder, and the
 *  signal's reason when it is aborted. */
export async function findImages(root: string, signal?: AbortSignal): Promise<Found> {
  await namesIn('folder', root, 'a folder of images')
  const found: Found = { files: [], skipped: [], folders: [], others: [] }
  const walk: Walk = { found, root, read: new Map(), links: [], signal }
  await readFolder(walk, '')
  while (walk.links.length > 0)
    for (const link of walk.links.splice(0).sort(byDepth))
      await readFolder(walk, `${link.path}/`, link.isInLink ? 'in link' : 'link')
  signal?.throwIfAborted()
  const key = new Map<string, string>()
  const keyOf = (path: string) => {
    const known = key.get(path) ?? path.normalize('NFC')
    key.set(path, known)
    return known
  }
  const byName = (a: string, b: string) => order(keyOf(a), keyOf(b)) || order(a, b)
  found.files.sort((a, b) => byName(a.path, b.path))
  found.skipped.sort((a, b) => byName(a.file, b.file))
  found.folders.sort(byName)
  found.others.sort(byName)
  return found
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

interface Walk {
  readonly found: Found
  readonly root: string
  /** The folders that were read: real path, and path below the root. */
  readonly read: Map<string, string>
  /** Links to folders. They are followed after all real folders: a folder's own name wins. */
  readonly links: Link[]
  readonly signal: AbortSignal | undefined
}

interface Link {
  readonly path: string
  /** True when it lies in a folder that was reached by a link. */
  readonly isInLink: boolean
}

const depthOf = ({ path }: Link) => path.split('/').length
const byDepth = (a: Link, b: Link) => depthOf(a) - depthOf(b) || (a.path < b.path ? -1 : 1)

/** Way to a folder: by itself, by a link, by a link in a link's folder, or within a folder
 *  that is read a second time. */
type Way = 'itself' | 'link' | 'in link' | 'again'

/** Adds the contents of a folder at any depth. `folder` is '' or ends in '/'. */
async function readFolder(walk: Walk, folder: string, way: Way = 'itself') {
  const { found, root, read, links, signal } = walk
  if (signal?.aborted) return // `findImages` throws
  const file = folder.slice(0, -1) || '.'
  try {
    const real = await realpath(join(root, folder))
    const first = read.get(real)
    const again =
      first !== undefined && (way === 'again' || (way === 'link' && isForHalf(folder, first)))
    if (first !== undefined && !again) {
      found.skipped.push({ file, reason: linkReason(folder, first) })
      return
    }
    if (first === undefined) read.set(real, folder)
    const names = (await readdir(real)).filter((name) => !isLitter(name)).sort()
    const folders: string[] = []
    for (let from = 0; from < names.length; from += AT_ONCE) {
      const some = names.slice(from, from + AT_ONCE).map((name) => folder + name)
      const kinds = await Promise.all(some.map((path) => note(found, root, path)))
      folders.push(...some.filter((_, i) => kinds[i] === 'folder'))
      const isInLink = way !== 'itself'
      links.push(...some.filter((_, i) => kinds[i] === 'link').map((path) => ({ path, isInLink })))
    }
    found.folders.push(...folders)
    for (const path of folders) await readFolder(walk, `${path}/`, again ? 'again' : inner(way))
  } catch (error) {
    found.skipped.push({ file, reason: await troubleOf(error, join(root, folder)) })
  }
}

/** Returns the way of the folders within a folder that was reached by `way`. */
const inner = (way: Way): Way => (way === 'itself' ? 'itself' : 'in link')

/** Tells whether a link puts a folder read elsewhere into a half, as train/cats -> pool/cats
 *  does. */
const isForHalf = (link: string, first: string) =>
  isInHalf(link) && !isInHalf(first) && !link.startsWith(first)

const isInHalf = (path: string) => path.split(/[/ _.-]+/).some(isHalf)

const linkReason = (folder: string, first: string) =>
  folder.startsWith(first)
    ? 'is a link back to a folder that it is in'
    : `leads to the folder ${first.slice(0, -1)}, which is read there already`

/** Adds the file at a path to the lists, and returns the path's kind. Opens nothing: reading a pipe
 *  would never end. */
async function note(found: Found, root: string, path: string): Promise<'folder' | 'link' | 'file'> {
  const { status, trouble } = await lookAt(join(root, path))
  if (!status) found.skipped.push({ file: path, reason: trouble })
  else if (status.isDirectory()) {
    const isLink = (await lstat(join(root, path))).isSymbolicLink()
    if (isLink) found.folders.push(path)
    return isLink ? 'link' : 'folder'
  } else if (!status.isFile())
    found.skipped.push({ file: path, reason: `is ${kindOf(status)}, not a file` })
  else if (isImageName(path))
    found.files.push({ path, mtime: status.mtimeMs, bytes: status.size, ...idOf(status) })
  else found.others.push(path)
  return 'file'
}

/** Returns device and inode of a file, where JavaScript's numbers hold them exactly. */
const idOf = ({ dev, ino }: Stats) =>
  ino > 0 && Number.isSafeInteger(ino) ? { id: `${dev}:${ino}` } : {}
