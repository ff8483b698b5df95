// A lock file that names the process using a folder, so that two trainings never write one run.

import { readFileSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { codeOf, writeError } from '../engine/node-files.ts'

interface Holder {
  readonly pid: number
  /** What tells the process from a later one of the same number; '' where the system does not say. */
  readonly started: string
}

/** Takes the lock file at `path` for this process and returns the function that gives it back. A lock left by a process
 *  that is gone is taken over. Throws Error naming `folder` and the process when another one holds it. */
export async function lock(path: string, folder: string): Promise<() => Promise<void>> {
  const own: Holder = { pid: process.pid, started: startOf(process.pid) }
  for (let attempt = 0; attempt < 5; attempt++) {
    if (await claim(path, own)) return () => rm(path, { force: true })
    const holder = await holderOf(path)
    if (holder && isAlive(holder))
      throw new Error(
        `${folder} is in use by process ${holder.pid}; wait for it to end, stop it, or choose another --out`,
      )
    await rm(path, { force: true })
  }
  throw new Error(`${folder} is being taken by another process at the same moment; try again`)
}

/** True when the file was not there and is now ours. */
async function claim(path: string, own: Holder): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    await file.writeFile(JSON.stringify(own)).finally(() => file.close())
    return true
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') return false
    throw writeError(path, cause)
  }
}

/** Who holds the lock; null when it was let go meanwhile, or its file was never finished. */
async function holderOf(path: string): Promise<Holder | null> {
  try {
    const { pid, started } = JSON.parse(await readFile(path, 'utf8')) as Partial<Holder> // checked on the next line
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : null
  } catch {
    return null
  }
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false // any other code: it is there, and not ours to signal
  }
  return started === startOf(pid)
}

/** When a process started, in ticks since boot, where the system is Linux. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '' // field 22; the name in field 2 may hold spaces
  } catch {
    return ''
  }
}
