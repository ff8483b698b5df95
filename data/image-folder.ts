// Folders of photos: JPEG, PNG and WebP files, at any depth, decoded to squares of one size.
//
// Classes are the folders directly within, when at least two of them hold images; images beside those folders are
// skipped. Otherwise the set has no labels. Where there is a folder `train` and one called `test`, `val`, `valid` or
// `validation` (the first there is), they are the split and the classes are the folders in them, and all else is left
// alone. Otherwise a fifth of each class is the test set, chosen by a hash of the paths.

import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { DataError, type Dataset, type Skipped, type Split, checkRead, select } from './dataset.ts'
import { type ImageFile, findImages } from './image-files.ts'
import { type StoreOptions, openStore } from './image-store.ts'

export interface FolderOptions extends StoreOptions {
  /** The folder of all caches; $XDG_CACHE_HOME/kindred or ~/.cache/kindred when not told. */
  readonly cache?: string
  /** The part of each class that is the test set, where the folders do not say. */
  readonly testShare?: number
}

/** A folder's images, split in two. Throws DataError when there is none to train on. */
export async function openImageFolder(path: string, options: FolderOptions): Promise<Split> {
  const { testShare = 0.2 } = options
  if (!(testShare >= 0 && testShare < 1))
    throw new DataError(`folder: testShare must be at least 0 and less than 1, got ${testShare}`)
  const layout = await look(path)
  const all = await open(layout, options)
  const { halves } = layout
  const isTest = halves ? all.files.map((file) => file.startsWith(`${halves.test}/`)) : byHash(all, testShare)
  const where = (wanted: boolean) => isTest.flatMap((test, i) => (test === wanted ? [i] : []))
  const [train, test] = [where(false), where(true)]
  if (train.length === 0) {
    await all.close()
    const first = all.skipped.find(({ file }) => !halves || file.startsWith(`${halves.train}/`))
    throw new DataError(
      `folder: ${join(path, halves?.train ?? '')} has no image that can be decoded${because(first)}`,
    )
  }
  const closing = once(2, () => all.close())
  return {
    train: { ...select(all, train), close: closing() },
    test: { ...select(all, test), close: closing() },
  }
}

/** All images of a folder in the order of their paths, without labels, whatever its folders are called. Throws
 *  DataError when there is none that can be decoded. */
export async function openImages(path: string, options: FolderOptions): Promise<FolderDataset> {
  return open({ root: path, halves: null, classes: [], ...(await scan(path)) }, options)
}

interface FolderDataset extends Dataset {
  readonly files: readonly string[]
  close(): Promise<void>
}

/** What a folder holds, before anything is decoded. */
interface Layout {
  readonly root: string
  readonly files: readonly ImageFile[]
  readonly skipped: readonly Skipped[]
  readonly halves: { readonly train: string; readonly test: string } | null
  readonly classes: readonly string[]
}

async function scan(root: string) {
  const found = await findImages(root)
  if (found.files.length === 0)
    throw new DataError(
      `folder: ${root} must hold JPEG, PNG or WebP images (.jpg, .jpeg, .png, .webp), found none at any depth` +
        because(found.skipped[0]),
    )
  return found
}

async function look(root: string): Promise<Layout> {
  const { files, skipped, folders } = await scan(root)
  const named = (names: readonly string[]) =>
    names.find((name) => folders.includes(name) && files.some(({ path }) => path.startsWith(`${name}/`)))
  const [train, test] = [named(['train']), named(['test', 'val', 'valid', 'validation'])]
  const halves = train && test ? { train, test } : null
  const inHalves = ({ path }: ImageFile) =>
    !halves || path.startsWith(`${train}/`) || path.startsWith(`${test}/`)
  const wanted = files.filter(inHalves)
  const names = new Set(wanted.map(({ path }) => folderOf(path, halves)))
  const classes = [...names].filter((name) => name !== null).sort()
  if (classes.length < 2) return { root, files: wanted, skipped, halves, classes: [] }
  const loose = wanted.filter(({ path }) => folderOf(path, halves) === null)
  return {
    root,
    files: wanted.filter(({ path }) => folderOf(path, halves) !== null),
    skipped: [
      ...skipped,
      ...loose.map(({ path }) => ({ file: path, reason: 'is in none of the class folders' })),
    ],
    halves,
    classes,
  }
}

/** The folder directly within the root (or its half) that a file is in, or null. */
function folderOf(path: string, halves: Layout['halves']): string | null {
  const parts = path.split('/').slice(halves ? 1 : 0, -1)
  return parts[0] ?? null
}

async function open(
  { root, files, skipped, halves, classes }: Layout,
  options: FolderOptions,
): Promise<FolderDataset> {
  const { size } = options
  if (!(Number.isInteger(size) && size > 0))
    throw new DataError(`folder: size must be a positive number of pixels, got ${size}`)
  const store = await openStore(root, files, { ...options, cache: cacheFolder(root, options) })
  const { records } = store
  const count = store.files.length
  if (count === 0) {
    await records.release()
    throw new DataError(
      `folder: ${root}: none of the ${files.length} images can be decoded${because(store.skipped[0])}`,
    )
  }
  const folders = store.files.map(({ path }) => folderOf(path, halves) ?? '')
  const used = new Set(folders)
  const present = classes.filter((name) => used.has(name)) // a class of which nothing can be decoded is none
  const numbers = new Map(present.map((name, i) => [name, i]))
  const labels = Int32Array.from(folders, (name) => numbers.get(name) ?? -1)
  return {
    name: 'folder',
    size: count,
    image: { height: size, width: size, channels: 3 },
    classes: present.length < 2 ? [] : present,
    labels: present.length < 2 ? null : labels,
    skipped: [...skipped, ...store.skipped],
    files: store.files.map(({ path }) => path),
    async read(indices, out) {
      checkRead({ name: 'folder', size: count }, records.record, indices, out)
      await records.read(
        Array.from(indices, (i) => store.files[i]?.slot ?? 0),
        out,
      )
    },
    close: () => records.release(),
  }
}

/** Where the cache of a folder at a size is. */
function cacheFolder(root: string, { cache, size }: FolderOptions) {
  const base = cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kindred')
  return join(base, hash(`${resolve(root)}\n${size}`).slice(0, 16))
}

/** For each image, whether it is in the test set: of each class, the `share` whose paths have the smallest hashes, at
 *  least one and never all. */
function byHash({ files, labels }: FolderDataset, share: number): boolean[] {
  const classes = new Map<number, number[]>()
  files.forEach((_, i) => {
    const label = labels?.[i] ?? 0
    const members = classes.get(label)
    if (members) members.push(i)
    else classes.set(label, [i])
  })
  const isTest = files.map(() => false)
  const hashes = files.map(hash)
  for (const members of classes.values()) {
    const wanted = share === 0 ? 0 : Math.max(1, Math.round(share * members.length))
    const byHashes = members.sort((a, b) => ((hashes[a] ?? '') < (hashes[b] ?? '') ? -1 : 1))
    for (const i of byHashes.slice(0, Math.min(wanted, members.length - 1))) isTest[i] = true
  }
  return isTest
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')

const because = (first: Skipped | undefined) => (first ? `; the first: ${first.file}: ${first.reason}` : '')

/** Makes up to `count` functions, the last of which to be called runs `act`. */
function once(count: number, act: () => Promise<void>) {
  let left = count
  return () => {
    let called = false
    return async () => {
      if (called) return
      called = true
      if (--left === 0) await act()
    }
  }
}
