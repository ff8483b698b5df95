// A file that one process at a time may hold: a lock that outlives kill -9 and never has two
// holders.
//
// The claim is written beside its place and linked into it, which one of any number of processes
// can do, so that it is never seen half written. A claim whose process is gone is removed only by
// who holds the claim on removing it, `<path>.takeover`, and only after another look: nobody
// removes what has meanwhile become somebody's.

import { randomBytes } from 'node:crypto'
import { constants, copyFile, link, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Holder, parseHolder, self, stateOf } from './holder.ts'

/** The function that gives a claim back, or who holds it; `seen` is false when that cannot be
 * looked up from here. */
export type Claim =
  | { readonly release: () => Promise<void> }
  | { readonly holder: Holder; readonly seen: boolean }

const PATIENCE = 10_000 // milliseconds that others may take to remove a claim; it takes them less than one
const UNREADABLE = 5 // looks at a claim that makes no sense before it counts as left by a crash

/** Claims `path` for this process, at once or not at all. A claim whose process is gone is taken
 * over. Throws what the file system throws. */
export async function claim(path: string): Promise<Claim> {
  const token = randomBytes(6).toString('hex')
  const text = JSON.stringify({ ...self(), token })
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}-${token}.tmp`)
  const until = Date.now() + PATIENCE
  try {
    for (let unreadable = 0; ;) {
      if (await place(draft, path, text)) return { release: () => release(path, text) }
      const found = await contentOf(path)
      if (found === null) continue
      const holder = parseHolder(found)
      const state = holder && stateOf(holder)
      if (holder && state !== 'gone') return { holder, seen: state === 'there' }
      if (!holder && ++unreadable < UNREADABLE) await pause(20)
      else {
        const busy = await removeLeft(path)
        if (busy && Date.now() > until) return busy
        if (busy) await pause(5)
      }
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** Runs `body` while this process holds `path`, waiting for others to give it back. Throws Error
 * after ten seconds. */
export async function holding<T>(path: string, body: () => Promise<T>): Promise<T> {
  const until = Date.now() + PATIENCE
  for (;;) {
    const claimed = await claim(path)
    if ('release' in claimed)
      try {
        return await body()
      } finally {
        await claimed.release()
      }
    if (Date.now() > until)
      throw new Error(`${path} is held by process ${claimed.holder.pid}; delete it if that is gone`)
    await pause(20)
  }
}

/** Removes a claim that nobody alive holds. Returns who else is about to, if somebody is. */
async function removeLeft(path: string): Promise<Exclude<Claim, { release: unknown }> | null> {
  const turn = await claim(`${path}.takeover`)
  if ('holder' in turn) return turn
  try {
    const found = await contentOf(path)
    if (found === null) return null // what comes now is somebody's
    const holder = parseHolder(found)
    if (!holder || stateOf(holder) === 'gone') await rm(path, { force: true })
    return null
  } finally {
    await turn.release()
  }
}

/** True when nothing was at `path` and the claim now is. */
async function place(draft: string, path: string, text: string): Promise<boolean> {
  await writeFile(draft, text)
  try {
    await link(draft, path).catch((error: unknown) => {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) throw error
      return copyFile(draft, path, constants.COPYFILE_EXCL) // a file system without hard links
    })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (codeOf(error) === 'ENOENT') return false // the holder tidied the draft away; it is written again
    throw error
  }
}

async function release(path: string, text: string) {
  if ((await contentOf(path)) === text) await rm(path, { force: true })
}

/** The text of a file, or null when there is none. */
async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : '')
