// The lock of a run folder, so that two trainings never write one run.

import { writeError } from '../engine/node-files.ts'
import { type Claim, ClaimError, claim, heldNow } from '../data/claim.ts'
import { inCode } from './words.ts'

/** What the lock is wanted for. */
export interface Wanted {
  /** False for a new run, which may be put into another folder; true unless told. */
  readonly resuming?: boolean
  /** Where a new run goes instead; 'another folder' unless told. */
  readonly elsewhere?: string
}

/** Takes the lock file at `path` for this process and returns the function that gives it back. A
 *  lock left by a process that is gone is taken over. Throws Error naming `folder` and the process
 *  when another one holds it, and naming `path` when that is no file. */
export async function lock(
  path: string,
  folder: string,
  { resuming = true, elsewhere = inCode.elsewhere }: Wanted = {},
): Promise<() => Promise<void>> {
  const taken = await claim(path).catch((cause: unknown) => {
    throw cause instanceof ClaimError ? cause : writeError(path, cause)
  })
  if ('release' in taken) return taken.release
  throw inUse(taken, { path, folder, resuming, elsewhere })
}

/** Throws like `lock` where another process holds the lock now. Changes nothing. */
export async function checkLock(
  path: string,
  folder: string,
  { resuming = true, elsewhere = inCode.elsewhere }: Wanted = {},
) {
  const held = await heldNow(path).catch((cause: unknown) => {
    throw cause instanceof ClaimError ? cause : writeError(path, cause)
  })
  if (held) throw inUse(held, { path, folder, resuming, elsewhere })
}

type Held = Exclude<Claim, { readonly release: unknown }>

function inUse(
  { holder: { pid, host }, seen }: Held,
  {
    path,
    folder,
    resuming,
    elsewhere,
  }: Required<Wanted> & { readonly path: string; readonly folder: string },
): Error {
  const remedies = [
    'wait for it to end',
    ...(seen ? ['stop it'] : []),
    ...(resuming ? [] : [`choose ${elsewhere}`]),
    ...(seen ? [] : [`delete ${path} if it is gone`]),
  ]
  const last = remedies.pop()
  const remedy = `${remedies.join(', ')}${remedies.length > 1 ? ',' : ''} or ${last}`
  const who = seen ? `process ${pid}` : `process ${pid} of ${host}, which cannot be seen from here`
  return new Error(`${folder} is in use by ${who}; ${remedy}`)
}
