// Keeps decoded images on disk, so that opening a folder again decodes only new files. A cache is a
// file of fixed-size records and an index of them. Both are written under temporary names and
// renamed when complete, the index last. Each writer has a records file of its own. So a process
// that dies at any point leaves the old cache valid, and several writers replace the whole cache
// one after the other.

import { createHash, randomBytes } from 'node:crypto'
import {
  type FileHandle,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../engine/node-files.ts'
import { holding } from './claim.ts'
import { isAlive, self } from './holder.ts'

/** Time and size of a file: a file with the same stamp as its entry is not decoded again. */
export interface Stamp {
  readonly mtime: number
  readonly bytes: number
}

/** Entry of a file: its record, or the reason why it has none. */
export type Entry = Stamp & (Kept | { readonly reason: string })

/** Number of a record, and the size of the whole image in it. */
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

const VERSION = 3 // of the layout and the decoder; caches of other versions are not read
const INDEX = 'index.json'
const LOCK = 'lock' // held while a cache is replaced
const DAY = 24 * 3600 * 1000

/** The entries of a cache and its open records. */
export interface OpenCache {
  readonly entries: ReadonlyMap<string, Entry>
  readonly count: number
  readonly handle: FileHandle
}

/** Opens the cache in `folder`. Returns null when there is none, or it is damaged or of another
 *  record size. */
export async function openCache(folder: string, record: number): Promise<OpenCache | null> {
  // another process may replace the cache between reading the index and opening the records
  return (await openOnce(folder, record)) ?? openOnce(folder, record)
}

async function openOnce(folder: string, record: number): Promise<OpenCache | null> {
  try {
    // the fields are checked below; a wrong entry can only cost a decode
    const index = JSON.parse(await readFile(join(folder, INDEX), 'utf8')) as Partial<Index>
    const { version, records, count = -1, entries } = index
    if (version !== VERSION || index.record !== record || typeof records !== 'string' || !entries)
      return null
    const handle = await open(join(folder, records))
    if ((await handle.stat()).size === count * record)
      return { entries: new Map(Object.entries(entries)), count, handle }
    await handle.close()
  } catch {
    // there is no cache, or it cannot be read: it is made again
  }
  return null
}

/** A cache that is being written. */
export interface Draft {
  readonly handle: FileHandle
  /** Replaces the cache in the folder by this one. */
  finish(count: number, entries: ReadonlyMap<string, Entry>): Promise<void>
  /** Removes what was written; `handle` stays open. */
  abandon(): Promise<void>
}

/** Makes a new records file in `folder`. Throws Error when it cannot; callers go on without a
 *  cache. */
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
      const index: Index = {
        version: VERSION,
        record,
        records,
        count,
        entries: Object.fromEntries(entries),
      }
      await writeFile(`${final}.json.tmp`, JSON.stringify(index))
      await holding(join(folder, LOCK), async () => {
        await rename(draft, final)
        await rename(`${final}.json.tmp`, join(folder, INDEX))
        await removeOld(folder, records)
      })
    },
    async abandon() {
      await Promise.all(
        [draft, final, `${final}.json.tmp`].map((file) => rm(file, { force: true })),
      )
    },
  }
}

/** Removes the records files that the index does not name. A process that has one open can read
 *  on. */
async function removeOld(folder: string, records: string) {
  const old = (await readdir(folder)).filter(
    (file) => /^records-.*\.bin$/.test(file) && file !== records,
  )
  // Windows does not remove open files; the next writer removes them
  await Promise.all(
    old.map((file) => rm(join(folder, file), { force: true }).catch(() => undefined)),
  )
}

/** Removes the unfinished files of dead processes. */
async function sweep(folder: string) {
  for (const file of await readdir(folder)) {
    const [, pid, where = here()] = file.match(/^records-(\d+)-(?:([0-9a-f]{8})-)?.*\.tmp$/) ?? []
    if (!pid) continue
    const path = join(folder, file)
    const left = where === here() ? !isAlive(Number(pid)) : await isOld(path)
    if (left) await rm(path, { force: true })
  }
}

/** Hashes the machine and the namespace of process numbers to eight hexadecimal digits. */
function here(): string {
  const { host, space } = self()
  return createHash('sha256').update(`${host} ${space}`).digest('hex').slice(0, 8)
}

/** Tells whether a file was not written to for a day. Nothing else is known of a process
 *  elsewhere. */
async function isOld(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }))
  return Date.now() - mtimeMs > DAY
}
