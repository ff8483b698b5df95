// A lock file that one process at a time holds. It survives kill -9 and never has two holders.
//
// A process writes its claim to a draft and links the draft to the lock's path. Only one process
// can do that, and nobody sees a claim half written. The claim of a dead process is removed under a
// second lock, `<path>.takeover`, after it was read again: so nobody removes a claim that a living
// process has made meanwhile.

import { randomBytes } from 'node:crypto'
import { constants, copyFile, link, lstat, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { codeOf } from '../engine/node-files.ts'
import { type Holder, parseHolder, self, stateOf } from './holder.ts'
import { kindOf } from './paths.ts'

/** Either the function that releases the lock, or its present holder. `seen` is false when the
 *  holder cannot be looked up from here. */
export type Claim =
  | { readonly release: () => Promise<void> }
  | { readonly holder: Holder; readonly seen: boolean }

/** Somebody else's claim. */
type Held = Extract<Claim, { readonly holder: Holder }>

/** Error for a path that cannot be a claim. The message begins with the path. */
export class ClaimError extends Error {
  override readonly name = 'ClaimError'
}

const PATIENCE = 10_000 // milliseconds to wait for others to remove a claim; it takes less than one
const UNREADABLE = 5 // reads of a claim that is no JSON before it counts as left by a crash

/** Claims `path` for this process without waiting for its holder. Takes over the claim of a dead
 *  process. Throws ClaimError when `path` is not a file, or when others take and release the lock
 *  again and again for ten seconds. Throws the file system's errors too. */
export async function claim(path: string): Promise<Claim> {
  const token = randomBytes(6).toString('hex')
  const text = JSON.stringify({ ...self(), token })
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}-${token}.tmp`)
  const until = Date.now() + PATIENCE
  try {
    for (let unreadable = 0; ;) {
      if (await place(draft, path, text)) return { release: () => release(path, text) }
      const found = await contentOf(path)
      const held = found === null ? null : heldBy(found)
      if (held) return held
      const isLate = Date.now() > until
      if (found === null) await pause(1)
      else if (parseHolder(found) === null && ++unreadable < UNREADABLE) await pause(20)
      else {
        const busy = await removeLeft(path)
        if (busy && isLate) return busy
        if (busy) await pause(5)
      }
      if (isLate) throw new ClaimError(`${path} changes all the time; see which programs write it`)
    }
  } finally {
    await rm(draft, { force: true })
  }
}

/** Returns the process that holds `path` now, or null. Changes nothing. Throws like `claim`. */
export async function heldNow(path: string): Promise<Held | null> {
  const found = await contentOf(path)
  return found === null ? null : heldBy(found)
}

/** Parses a claim. Returns null unless its process may still be running. */
function heldBy(text: string): Held | null {
  const holder = parseHolder(text)
  const state = holder && stateOf(holder)
  return holder && state !== 'gone' ? { holder, seen: state === 'there' } : null
}

/** Runs `body` while this process holds `path`. Waits for the holder to release it. Throws Error
 *  after ten seconds. */
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

/** Removes the claim of a dead process. Returns the other process that is removing it, if any. */
async function removeLeft(path: string): Promise<Held | null> {
  const turn = await claim(`${path}.takeover`)
  if ('holder' in turn) return turn
  try {
    const found = await contentOf(path)
    if (found === null) return null // a claim made from now on is a living process's
    const holder = parseHolder(found)
    if (!holder || stateOf(holder) === 'gone') await rm(path, { force: true })
    return null
  } finally {
    await turn.release()
  }
}

/** Links the claim to `path`. Returns false when there is one already. */
async function place(draft: string, path: string, text: string): Promise<boolean> {
  await writeFile(draft, text)
  try {
    await link(draft, path).catch((error: unknown) => {
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error)))
        throw error
      return copyFile(draft, path, constants.COPYFILE_EXCL) // a file system without hard links
    })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (codeOf(error) === 'ENOENT') return false // the draft was removed: try again
    throw error
  }
}

async function release(path: string, text: string) {
  const found = await contentOf(path).catch(() => null) // what is no file is not ours either
  if (found === text) await rm(path, { force: true })
}

/** Reads a text file; null when there is none. Throws ClaimError for anything but a file: a link
 *  may lead nowhere, and reading a pipe would never end. */
async function contentOf(path: string): Promise<string | null> {
  try {
    const status = await lstat(path)
    const kind = status.isSymbolicLink() ? 'a link' : kindOf(status)
    if (!status.isFile()) throw new ClaimError(`${path} is ${kind} and must be a file; delete it`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}
