// Identifies the process that holds a lock, and tells whether it is still running.

import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { codeOf } from '../engine/node-files.ts'

/** A process. The fields tell it from later processes with the same number. A text is '' where the
 *  system does not tell it. */
export interface Holder {
  readonly pid: number
  /** Time of its start, in clock ticks since the machine's start. */
  readonly started: string
  readonly host: string
  /** Identifies the machine's last start. */
  readonly boot: string
  /** Identifies the namespace of its number: a container has its own. */
  readonly space: string
}

/** Describes this process. */
export const self = (): Holder => ({
  pid: process.pid,
  started: statOf(process.pid)?.started ?? '',
  host: hostname(),
  boot: said(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  space: said(() => readlinkSync('/proc/self/ns/pid')),
})

/** Tells whether the process is running ('there'), has ended ('gone'), or cannot be seen from here
 *  ('unseen'): it is on another machine or in another container. */
export function stateOf(holder: Holder): 'there' | 'gone' | 'unseen' {
  const { host, boot, space } = self()
  const differs = (a: string, b: string) => a !== '' && b !== '' && a !== b
  if (differs(holder.host, host)) return 'unseen'
  if (differs(holder.boot, boot)) return 'gone'
  if (differs(holder.space, space)) return 'unseen'
  return isRunning(holder) ? 'there' : 'gone'
}

/** Tells whether a process with this number is running here. It may be a later one that was given
 *  the same number. */
export const isAlive = (pid: number): boolean => isRunning({ pid, started: '' })

/** Parses a holder from JSON; null when it is none. Fields that older versions left out are ''. */
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
    // other codes, such as EPERM: the process runs, but this one may not signal it
    if (codeOf(error) === 'ESRCH') return false
  }
  const stat = statOf(pid)
  if (stat === null) return started === '' || process.platform !== 'linux'
  // Z is a zombie: its parent has not read its exit code
  const ended = stat.state === 'Z' || stat.state === 'X'
  return !ended && (started === '' || started === stat.started)
}

/** Reads a process's state and start from /proc; null where there is no /proc or no process. */
function statOf(pid: number): { readonly state: string; readonly started: string } | null {
  const stat = said(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  if (stat === '') return null
  // field 2, the name, may hold spaces
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', started: fields[19] ?? '' } // fields 3 and 22
}

function said(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
