// The lock of a run folder. It keeps two trainings from writing one run.

import { writeError } from '../engine/node-files.ts'
import { type Claim, ClaimError, claim, heldNow } from '../data/claim.ts'
import { inCode } from './words.ts'

/** Purpose of the lock, for the message if another process holds it. */
export interface Purpose {
  /** False for a new run, which may go to another folder; true by default. */
  readonly resuming?: boolean
  /** Place of a new run in messages; 'another folder' by default. */
  readonly elsewhere?: string
}

/** Locks the file at `path` for this process. Resolves to the function that releases the lock.
 *  Takes over the lock of a process that has ended. Throws Error with `folder` and the process if
 *  another one holds the lock, and Error with `path` if that is no file. */
export async function lock(
  path: string,
  folder: string,
  { resuming = true, elsewhere = inCode.elsewhere }: Purpose = {},
): Promise<() => Promise<void>> {
  const found = await claim(path).catch((cause: unknown) => {
    throw cause instanceof ClaimError ? cause : writeError(path, cause)
  })
  if ('release' in found) return found.release
  throw inUse(found, { path, folder, resuming, elsewhere })
}

/** Throws like `lock` if another process holds the lock now. Changes nothing. */
export async function checkLock(
  path: string,
  folder: string,
  { resuming = true, elsewhere = inCode.elsewhere }: Purpose = {},
) {
  const held = await heldNow(path).catch((cause: unknown) => {
    throw cause instanceof ClaimError ? cause : writeError(path, cause)
  })
  if (held) throw inUse(held, { path, folder, resuming, elsewhere })
}

/** A lock that another process holds. */
type Held = Exclude<Claim, { readonly release: unknown }>

function inUse(
  { holder: { pid, host }, seen }: Held,
  {
    path,
    folder,
    resuming,
    elsewhere,
  }: Required<Purpose> & { readonly path: string; readonly folder: string },
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
