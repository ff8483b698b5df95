// Decoded images kept on disk, so that opening a folder again decodes only what is new: fixed-size
// records in one file, and an index that says which record is which. Both are written under other
// names and renamed when whole, the index last, and each writing has a records file of its own: a
// process that dies at any point leaves the old cache in force. Of processes that write one cache
// at once, each puts its own in force whole, one after the other.

import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../engine/node-files.ts'
import { holding } from './claim.ts'
import { isAlive, self } from './holder.ts'

/** What tells whether a file is the one that was decoded. */
export interface Stamp {
  readonly mtime: number
  readonly bytes: number
}

/** What is known of a file: the record that holds it, or why there is none. */
export type Entry = Stamp & (Kept | { readonly reason: string })

/** A record, and the size of the whole image in it. */
export interface Kept {
  readonly slot: number
  readonly height: number
  readonly width: number
}

interface Index {
  readonly version: number
  /** Bytes of a record. */
  readonly record: number
  /** Name of the records file. */
  readonly records: string
  readonly count: number
  readonly entries: Readonly<Record<string, Entry>>
}

const VERSION = 3 // of the layout and of the decoder: what another version wrote is not read
const INDEX = 'index.json'
const LOCK = 'lock' // held while a cache is put in force
const DAY = 24 * 3600 * 1000

/** The entries of a cache and its open records. */
export interface OpenCache {
  readonly entries: ReadonlyMap<string, Entry>
  readonly count: number
  readonly handle: FileHandle
}

/** The cache in `folder`, or null when there is none that is whole and of this kind. */
export async function openCache(folder: string, record: number): Promise<OpenCache | null> {
  // another process may put its own in force between the reading of the index and the opening of
  // the records
  return (await openOnce(folder, record)) ?? openOnce(folder, record)
}

async function openOnce(folder: string, record: number): Promise<OpenCache | null> {
  try {
    // what is read is checked below as far as it is used; entries that lie only cost a decode
    const index = JSON.parse(await readFile(join(folder, INDEX), 'utf8')) as Partial<Index>
    const { version, records, count = -1, entries } = index
    if (version !== VERSION || index.record !== record || typeof records !== 'string' || !entries) return null
    const handle = await open(join(folder, records))
    if ((await handle.stat()).size === count * record)
      return { entries: new Map(Object.entries(entries)), count, handle }
    await handle.close()
  } catch {
    // no cache, or one that cannot be read: it is made again
  }
  return null
}

/** A place for records being made. */
export interface Draft {
  readonly handle: FileHandle
  /** Puts the cache in force. */
  finish(count: number, entries: ReadonlyMap<string, Entry>): Promise<void>
  /** Removes what was written; `handle` stays open. */
  abandon(): Promise<void>
}

/** A new records file in `folder`. Throws what the file system throws: a cache is a convenience, so
 *  go on without. */
export async function draftCache(folder: string, record: number): Promise<Draft> {
  await makeFolder(folder)
  await sweep(folder)
  const records = `records-${process.pid}-${here()}-${randomBytes(6).toString('hex')}.bin`
  const [draft, final] = [join(folder, `${records}.tmp`), join(folder, records)]
  const handle = await open(draft, 'wx+')
  return {
    handle,
    async finish(count, entries) {
      await handle.truncate(count * record)
      await handle.sync()
      const index: Index = { version: VERSION, record, records, count, entries: Object.fromEntries(entries) }
      await writeFile(`${final}.json.tmp`, JSON.stringify(index))
      await holding(join(folder, LOCK), async () => {
        await rename(draft, final)
        await rename(`${final}.json.tmp`, join(folder, INDEX))
        await removeOld(folder, records)
      })
    },
    async abandon() {
      await Promise.all([draft, final, `${final}.json.tmp`].map((file) => rm(file, { force: true })))
    },
  }
}

/** Removes the records that the index names no more. What another process has open it may go on
 *  reading. */
async function removeOld(folder: string, records: string) {
  const old = (await readdir(folder)).filter((file) => /^records-.*\.bin$/.test(file) && file !== records)
  // a system that does not let open files go keeps them until the next time
  await Promise.all(old.map((file) => rm(join(folder, file), { force: true }).catch(() => undefined)))
}

/** Removes what processes that are no more have left unfinished. */
async function sweep(folder: string) {
  for (const file of await readdir(folder)) {
    const [, pid, where = here()] = file.match(/^records-(\d+)-(?:([0-9a-f]{8})-)?.*\.tmp$/) ?? []
    if (!pid) continue
    const path = join(folder, file)
    const left = where === here() ? !isAlive(Number(pid)) : await isOld(path)
    if (left) await rm(path, { force: true })
  }
}

/** Where numbers of processes mean what they mean to this one, as eight hexadecimal digits. */
function here(): string {
  const { host, space } = self()
  return createHash('sha256').update(`${host} ${space}`).digest('hex').slice(0, 8)
}

/** Whether nothing was written to a file for a day: of a process that cannot be looked up, nothing
 *  else is known. */
async function isOld(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }))
  return Date.now() - mtimeMs > DAY
}
