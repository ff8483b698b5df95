// Folders of photos, at any depth, decoded to squares of one size. folder-layout.ts says what the
// folders mean. Where they name no halves, a fifth of each class is the test set, chosen by a hash
// of the paths; a set without labels trains on all.

import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { DataError, type Dataset, type Skipped, type Split, checkRead, select } from './dataset.ts'
import { type Annotations, type FolderLayout, type Placed, layoutOf } from './folder-layout.ts'
import { findImages } from './image-files.ts'
import { type StoreOptions, openStore } from './image-store.ts'
import { originalsOf } from './originals.ts'
import { listed } from './listed.ts'
import { linesOf } from './paths.ts'

export interface FolderOptions extends StoreOptions {
  /** The folder of all caches; $XDG_CACHE_HOME/kindred or ~/.cache/kindred when not told. */
  readonly cache?: string
  /** The part of each class that is the test set, where the folders do not say: a fifth, or
   *  nothing of a set without labels, in which there is nothing to measure. */
  readonly testShare?: number
}

/** A folder's images, split in two. Throws DataError when there is none to train on. */
export async function openImageFolder(path: string, options: FolderOptions): Promise<Split> {
  const { testShare } = options
  if (testShare !== undefined && !(testShare >= 0 && testShare < 1))
    throw new DataError(`folder: testShare must be at least 0 and less than 1, got ${testShare}`)
  const { others, ...found } = await scan(path)
  const annotated = await readAnnotations(path, others)
  const layout = layoutOf({ ...found, others }, (half) => annotated.get(half) ?? null)
  const all = await open(path, layout, options)
  const { halves } = layout
  const share = testShare ?? (all.labels ? 0.2 : 0)
  const isTest = halves ? all.isTest : byHash(all, share)
  const where = (wanted: boolean) => isTest.flatMap((test, i) => (test === wanted ? [i] : []))
  const [train, test] = [where(false), where(true)]
  if (train.length === 0) {
    await all.close()
    const first = all.skipped.find(({ file }) => !halves || `/${file}`.includes(`/${halves.train}/`))
    throw new DataError(
      `folder: ${join(path, halves?.train ?? '')} has no image that can be decoded${because(first)}`,
    )
  }
  const split = halves ? `folders ${halves.train} and ${halves.test}` : shareOf(share, all.labels !== null)
  const closing = once(2, () => all.close())
  return {
    train: { ...select(all, train), close: closing() },
    test: { ...select(all, test), close: closing() },
    about: { path: resolve(path), split, notes: [...layout.notes, ...undecoded(layout, all)], others },
  }
}

const shareOf = (share: number, hasLabels: boolean) =>
  share === 0
    ? `all images train, so that ${hasLabels ? 'none is left to measure' : 'there is nothing to measure'}`
    : `${Number((100 * share).toFixed(1))} % ${hasLabels ? 'of each class' : 'of the images'}, chosen by a hash of the paths`

/** What to say of classes of which nothing can be decoded. */
function undecoded({ classes }: FolderLayout, all: Dataset): string[] {
  const gone = classes.filter((name) => !all.classes.includes(name))
  return gone.length > 0 ? [`classes of which no image can be decoded: ${listed(gone)}`] : []
}

/** The classes that Tiny ImageNet's val_annotations.txt names, by the folder that it is in: name
 *  and class, with tabs between. */
async function readAnnotations(root: string, others: readonly string[]): Promise<Map<string, Annotations>> {
  const found = new Map<string, Annotations>()
  for (const path of others.filter((other) => other.endsWith('/val_annotations.txt'))) {
    const rows = (await linesOf('folder', join(root, path))).map((line) => line.split('\t'))
    const pairs = rows.flatMap(([file, name]) => (file && name ? [[file, name] as const] : []))
    found.set(path.slice(0, path.lastIndexOf('/')), new Map(pairs))
  }
  return found
}

/** All images of a folder in the order of their paths, without labels, whatever its folders are called. Throws
 *  DataError when there is none that can be decoded. */
export async function openImages(path: string, options: FolderOptions): Promise<FolderDataset> {
  const { files, skipped } = await scan(path)
  const bare = files.map((file): Placed => ({ ...file, label: null, isTest: false }))
  return open(path, { files: bare, skipped, classes: [], halves: null, notes: [] }, options)
}

interface FolderDataset extends Dataset {
  readonly files: readonly string[]
  /** Which of them the folders say to be test images. */
  readonly isTest: readonly boolean[]
  close(): Promise<void>
}

async function scan(root: string) {
  const found = await findImages(root)
  if (found.files.length === 0)
    throw new DataError(
      `folder: ${root} must hold images (${EXTENSIONS}), found none at any depth` +
        other(found.others) +
        because(found.skipped[0]),
    )
  return found
}

const EXTENSIONS = '.jpg .jpeg .jfif .png .webp .gif .tif .tiff .bmp .avif'

const other = (files: readonly string[]) =>
  files.length > 0 ? `, only other files: ${listed(files, 3)}` : ''

async function open(
  root: string,
  { files, skipped, classes }: FolderLayout,
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
      `folder: ${root}: ${files.length === 1 ? 'its one image cannot' : `none of the ${files.length} images can`} be decoded${because(store.skipped[0])}`,
    )
  }
  const placed = new Map(files.map((file) => [file.path, file]))
  const names = store.files.map(({ path }) => placed.get(path)?.label ?? null)
  const used = new Set(names)
  const present = classes.filter((name) => used.has(name)) // a class of which nothing can be decoded is none
  const numbers = new Map(present.map((name, i) => [name, i]))
  const labels = Int32Array.from(names, (name) => numbers.get(name ?? '') ?? -1)
  return {
    name: 'folder',
    size: count,
    image: { height: size, width: size, channels: 3 },
    classes: present.length < 2 ? [] : present,
    labels: present.length < 2 ? null : labels,
    skipped: [...skipped, ...store.skipped],
    files: store.files.map(({ path }) => path),
    isTest: store.files.map(({ path }) => placed.get(path)?.isTest ?? false),
    ...(options.originals && originalsOf(store, size)),
    async read(indices, out) {
      const length = size ** 2 * 3
      checkRead({ name: 'folder', size: count }, length, indices, out)
      await records.read(
        Array.from(indices, (i) => store.files[i]?.slot ?? 0),
        out,
        { length },
      )
    },
    close: () => records.release(),
  }
}

/** Where the cache of a folder at a size is. */
function cacheFolder(root: string, { cache, size, originals }: FolderOptions) {
  const base = cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kindred')
  return join(base, hash(`${resolve(root)}\n${size}${originals ? `\n${originals}` : ''}`).slice(0, 16))
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
  const hashes = files.map((file) => hash(file.normalize('NFC')))
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
