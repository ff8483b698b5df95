// Opens folders of photos, at any depth, as squares of one size. folder-layout.ts finds the classes
// and halves. Without halves, a hash of the paths chooses a fifth of each class as the test set. A
// set without labels trains on all images.

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { DataError, type Dataset, type Skipped, type Split, checkRead } from './dataset.ts'
import { select } from './select.ts'
import { type Annotations, type FolderLayout, layoutOf } from './folder-layout.ts'
import { type Placed, findImages } from './image-files.ts'
import { type StoreOptions, openStore } from './image-store.ts'
import { originalsOf } from './originals.ts'
import { listed } from './listed.ts'
import { readLines } from './paths.ts'

/** Options of a folder of images. */
export interface FolderOptions extends StoreOptions {
  /** Folder of all caches; by default $XDG_CACHE_HOME/kindred or ~/.cache/kindred. */
  readonly cache?: string
  /** Share of each class in the test set, when no folders are halves. By default 0.2; without
   *  labels 0, because there is nothing to measure. */
  readonly testShare?: number
}

/** Opens a folder's images as two halves. Throws DataError when there is none to train on. */
export async function openImageFolder(path: string, options: FolderOptions): Promise<Split> {
  const { testShare } = options
  if (testShare !== undefined && !(testShare >= 0 && testShare < 1))
    throw new DataError(`folder: testShare must be at least 0 and less than 1, got ${testShare}`)
  const { others, ...found } = await scan(path, options.signal)
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
    const first = all.skipped.find(
      ({ file }) => !halves || `/${file}`.includes(`/${halves.train}/`),
    )
    throw new DataError(
      `folder: ${join(path, halves?.train ?? '')} has no image that can be decoded${because(first)}`,
    )
  }
  const split = halves
    ? `folders ${halves.train} and ${halves.test}`
    : shareOf(share, all.labels !== null)
  const closing = once(2, () => all.close())
  return {
    train: { ...select(all, train), close: closing() },
    test: { ...select(all, test), close: closing() },
    about: {
      path: resolve(path),
      split,
      notes: [...layout.notes, ...undecoded(layout, all)],
      others,
    },
  }
}

const shareOf = (share: number, hasLabels: boolean) =>
  share === 0
    ? `all images train${hasLabels ? ', so that none is left to measure' : ''}`
    : `${Number((100 * share).toFixed(1))} % ${hasLabels ? 'of each class' : 'of the images'}, ` +
      `chosen by a hash of the paths`

/** Notes the classes without an image that can be decoded. */
function undecoded({ classes }: FolderLayout, all: Dataset): string[] {
  const gone = classes.filter((name) => !all.classes.includes(name))
  return gone.length > 0 ? [`classes of which no image can be decoded: ${listed(gone)}`] : []
}

/** Reads each val_annotations.txt of Tiny ImageNet: file name and class, with a tab between. The
 *  keys are the folders that hold one. */
async function readAnnotations(
  root: string,
  others: readonly string[],
): Promise<Map<string, Annotations>> {
  const found = new Map<string, Annotations>()
  for (const path of others.filter((other) => other.endsWith('/val_annotations.txt'))) {
    const rows = (await readLines('folder', join(root, path))).map((line) => line.split('\t'))
    const pairs = rows.flatMap(([file, name]) => (file && name ? [[file, name] as const] : []))
    found.set(path.slice(0, path.lastIndexOf('/')), new Map(pairs))
  }
  return found
}

/** Opens all images of a folder in the order of their paths, without labels or halves. Throws
 *  DataError when none can be decoded. */
export async function openImages(path: string, options: FolderOptions): Promise<FolderDataset> {
  const { files, skipped } = await scan(path, options.signal)
  const bare = files.map((file): Placed => ({ ...file, label: null, isTest: false }))
  return open(path, { files: bare, skipped, classes: [], halves: null, notes: [] }, options)
}

interface FolderDataset extends Dataset {
  readonly files: readonly string[]
  /** Marks those that lie in the folder of the test half. */
  readonly isTest: readonly boolean[]
  close(): Promise<void>
}

async function scan(root: string, signal: AbortSignal | undefined) {
  const found = await findImages(root, signal)
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
  const store = await openFilled(root, files, options)
  const { records } = store
  const count = store.files.length
  const placed = new Map(files.map((file) => [file.path, file]))
  const names = store.files.map(({ path }) => placed.get(path)?.label ?? null)
  return {
    name: 'folder',
    size: count,
    image: { height: size, width: size, channels: 3 },
    ...labelsOf(classes, names),
    skipped: [...skipped, ...store.skipped],
    files: store.files.map(({ path }) => path),
    fileSizes: (indices) =>
      Promise.all(Array.from(indices, (i) => bytesIn(join(root, store.files[i]?.path ?? '')))),
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

/** Opens the images of a folder. Throws DataError when none can be decoded. */
async function openFilled(root: string, files: readonly Placed[], options: FolderOptions) {
  const store = await openStore(root, files, { ...options, cache: cacheFolder(root, options) })
  if (store.files.length > 0) return store
  await store.records.release()
  throw new DataError(
    `folder: ${root}: ` +
      (files.length === 1 ? 'its one image cannot' : `none of the ${files.length} images can`) +
      ` be decoded${because(store.skipped[0])}`,
  )
}

/** Returns the classes with an image that can be decoded, and the label of each image; no classes
 *  and null where there are fewer than two. `names` are the classes of the images. */
function labelsOf(
  classes: readonly string[],
  names: readonly (string | null)[],
): Pick<Dataset, 'classes' | 'labels'> {
  const used = new Set(names)
  const present = classes.filter((name) => used.has(name))
  if (present.length < 2) return { classes: [], labels: null }
  const numbers = new Map(present.map((name, i) => [name, i]))
  const labels = Int32Array.from(names, (name) => numbers.get(name ?? '') ?? -1)
  return { classes: present, labels }
}

/** Returns the size of a file in bytes, or null when it is gone. */
const bytesIn = (path: string) =>
  stat(path).then(
    ({ size }) => size,
    () => null,
  )

/** Returns the folder of the cache for an image folder and its sizes. */
function cacheFolder(root: string, { cache, size, originals }: FolderOptions) {
  const base = cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kindred')
  return join(
    base,
    hash(`${resolve(root)}\n${size}${originals ? `\n${originals}` : ''}`).slice(0, 16),
  )
}

/** Marks the test images: of each class the `share` with the smallest hashes of the path, at least
 *  one and never all. */
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

const because = (first: Skipped | undefined) =>
  first ? `; the first: ${first.file}: ${first.reason}` : ''

/** Makes `count` functions. `act` runs when all of them have been called. */
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
