// Holds decoded images. Takes them from the cache where it has them, and decodes the other files.
// Keeps them in memory up to a limit; beyond it, reads them from the cache's records.

import { join } from 'node:path'
import { reasonOf } from '../kernels/reason-of.ts'
import { type DecodeOptions, type Decoded, decodeAll } from './decode-pool.ts'
import { DataError, type Skipped } from './dataset.ts'
import type { ImageFile } from './image-files.ts'
import {
  type Draft,
  type Entry,
  type Kept,
  type OpenCache,
  draftCache,
  openCache,
} from './record-cache.ts'
import { Records, readWhole } from './records.ts'

/** Options of decoded images. */
export interface StoreOptions extends DecodeOptions {
  /** Most bytes of decoded images to hold in memory; by default 1 GiB. */
  readonly memory?: number
  /** Called after every image that is decoded. Images from the cache do not count. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void
  /** Called when the cache cannot be written, with the reason. */
  readonly onNotice?: (notice: string) => void
}

/** Decoded images. */
export interface Store {
  readonly records: Records
  /** Files that could be decoded, with their records. */
  readonly files: readonly ({ readonly path: string } & Kept)[]
  readonly skipped: readonly Skipped[]
}

/** Opens the images of `files` below `root`, with their cache in the folder `cache`. Skips files
 *  that cannot be decoded. Goes on without a cache that cannot be written. Rejects with the
 *  signal's reason when it is aborted, and leaves the old cache as it was. */
export async function openStore(
  root: string,
  files: readonly ImageFile[],
  { cache, ...options }: StoreOptions & { readonly cache: string },
): Promise<Store> {
  const record = (options.size ** 2 + (options.originals ?? 0) ** 2) * 3
  const old = await openCache(cache, record)
  const known = new Map<string, Entry>()
  for (const { path, mtime, bytes } of files) {
    const entry = old?.entries.get(path)
    if (entry && entry.mtime === mtime && entry.bytes === bytes) known.set(path, entry)
  }
  if (old && known.size === files.length) {
    const records = new Records(record, old.count, { handle: old.handle, limit: options.memory })
    await records.load()
    return describe(files, known, records)
  }
  try {
    return await build({ root, files, known, old, cache, record, options })
  } finally {
    await old?.handle.close()
  }
}

interface Plan {
  readonly root: string
  readonly files: readonly ImageFile[]
  readonly known: ReadonlyMap<string, Entry>
  readonly old: OpenCache | null
  readonly cache: string
  readonly record: number
  readonly options: StoreOptions
}

/** Writes new records, copying the known ones, and replaces the old cache by them. */
async function build(plan: Plan): Promise<Store> {
  const { files, cache, record, options } = plan
  const notice = (error: unknown) => {
    options.onNotice?.(
      `folder: cannot write the cache in ${cache}, going on without: ${reasonOf(error)}`,
    )
    return null
  }
  const draft = await draftCache(cache, record).catch(notice)
  try {
    const records = new Records(record, files.length, {
      handle: draft?.handle ?? null,
      limit: options.memory,
    })
    const { entries, count, failure } = await fill(plan, records)
    if (draft && failure) await draft.abandon()
    else if (draft) await finish(draft, count, entries).catch(notice)
    if (failure) notice(failure)
    if (records.inMemory()) await records.release()
    return describe(files, entries, records)
  } catch (error) {
    await draft?.abandon()
    // the handle is closed already when the records were released
    await draft?.handle.close().catch(() => undefined)
    throw error
  }
}

async function finish(draft: Draft, count: number, entries: ReadonlyMap<string, Entry>) {
  try {
    await draft.finish(count, entries)
  } catch (error) {
    await draft.abandon()
    throw error
  }
}

/** Fills the records. Returns the entry of every file, the number of records, and the error of the
 *  records' file, if any. */
async function fill({ root, files, known, old, record, options }: Plan, records: Records) {
  const entries = new Map<string, Entry>()
  let count = 0
  let failure: string | null = null
  const copy = new Uint8Array(record)
  const put = async ({ path, mtime, bytes }: ImageFile, { height, width }: Omit<Kept, 'slot'>) => {
    failure = (await records.put(count, copy)) ?? failure
    entries.set(path, { mtime, bytes, slot: count++, height, width })
  }
  const fresh: ImageFile[] = []
  for (const file of files) {
    const entry = known.get(file.path)
    if (!entry || !old) fresh.push(file)
    else if ('reason' in entry) entries.set(file.path, entry)
    else {
      options.signal?.throwIfAborted()
      await readWhole(old.handle, copy, entry.slot * record)
      await put(file, entry)
    }
  }
  let done = 0
  let last = Promise.resolve() // records are written one at a time
  const take = (result: Decoded) =>
    (last = last.then(async () => {
      const file = at(fresh, result.id)
      if ('pixels' in result) {
        copy.fill(0).set(result.pixels)
        await put(file, result)
      } else entries.set(file.path, { mtime: file.mtime, bytes: file.bytes, reason: result.reason })
      options.onProgress?.({ done: ++done, total: fresh.length })
    }))
  const paths = fresh.map(({ path }) => join(root, path))
  try {
    if (paths.length > 0) await decodeAll(paths, options, take)
  } finally {
    await last.catch(() => undefined) // nothing is written after an error or an abort
  }
  return { entries, count, failure }
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  if (item === undefined) throw new DataError(`folder: no item ${index} of ${list.length}`)
  return item
}

function describe(
  files: readonly ImageFile[],
  entries: ReadonlyMap<string, Entry>,
  records: Records,
): Store {
  const good: ({ readonly path: string } & Kept)[] = []
  const skipped: Skipped[] = []
  for (const { path } of files) {
    const entry = entries.get(path)
    if (!entry) continue
    if ('slot' in entry)
      good.push({ path, slot: entry.slot, height: entry.height, width: entry.width })
    else skipped.push({ file: path, reason: entry.reason })
  }
  return { records, files: good, skipped }
}
