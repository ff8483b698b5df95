// The lock of a run folder, so that two trainings never write one run.

import { writeError } from '../engine/node-files.ts'
import { claim } from '../data/claim.ts'

/** Takes the lock file at `path` for this process and returns the function that gives it back. A lock left by a
 *  process that is gone is taken over. Throws Error naming `folder` and the process when another one holds it. */
export async function lock(path: string, folder: string): Promise<() => Promise<void>> {
  const taken = await claim(path).catch((cause: unknown) => {
    throw writeError(path, cause)
  })
  if ('release' in taken) return taken.release
  const { pid, host } = taken.holder
  throw new Error(
    taken.seen
      ? `${folder} is in use by process ${pid}; wait for it to end, stop it, or choose another --out`
      : `${folder} is in use by process ${pid} of ${host}, which cannot be seen from here; wait for it to end, ` +
          `choose another --out, or delete ${path} if it is gone`,
  )
}
