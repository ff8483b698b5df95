// Which process holds a file or a folder, and whether that process is still there.

import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** A process, told apart from later ones of the same number. Texts are '' where the system does not
 * say. */
export interface Holder {
  readonly pid: number
  /** When it started, in clock ticks since the machine did. */
  readonly started: string
  readonly host: string
  /** Identifies the time since the machine last started. */
  readonly boot: string
  /** Identifies the set of processes that its number is unique in: a container has its own. */
  readonly space: string
}

/** This process. */
export const self = (): Holder => ({
  pid: process.pid,
  started: statOf(process.pid)?.started ?? '',
  host: hostname(),
  boot: said(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  space: said(() => readlinkSync('/proc/self/ns/pid')),
})

/** Whether the process is there, is gone, or cannot be seen from here: on another machine or in a
 * container. */
export function stateOf(holder: Holder): 'there' | 'gone' | 'unseen' {
  const { host, boot, space } = self()
  const differs = (a: string, b: string) => a !== '' && b !== '' && a !== b
  if (differs(holder.host, host)) return 'unseen'
  if (differs(holder.boot, boot)) return 'gone'
  if (differs(holder.space, space)) return 'unseen'
  return isRunning(holder) ? 'there' : 'gone'
}

/** Whether a process of this number is running here; it may be another than the one that was
 * meant. */
export const isAlive = (pid: number): boolean => isRunning({ pid, started: '' })

/** The holder that a text describes, or null. What older versions left out is ''. */
export function parseHolder(text: string): Holder | null {
  try {
    const { pid, started, host = '', boot = '', space = '' } = JSON.parse(text) as Partial<Holder>
    const texts = [started, host, boot, space].every((value) => typeof value === 'string')
    return Number.isInteger(pid) && pid && started !== undefined && texts
      ? { pid, started, host, boot, space }
      : null
  } catch {
    return null
  }
}

function isRunning({ pid, started }: Pick<Holder, 'pid' | 'started'>): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // any other code: it is there, and not ours to signal
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
  }
  const stat = statOf(pid)
  if (stat === null) return started === '' || process.platform !== 'linux'
  const ended = stat.state === 'Z' || stat.state === 'X' // its parent has not asked for its exit code yet
  return !ended && (started === '' || started === stat.started)
}

/** What Linux says of a process; null elsewhere, or when it is gone. */
function statOf(pid: number): { readonly state: string; readonly started: string } | null {
  const stat = said(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  if (stat === '') return null
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name in field 2 may hold spaces
  return { state: fields[0] ?? '', started: fields[19] ?? '' } // fields 3 and 22
}

function said(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
