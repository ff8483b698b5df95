// Checks that a run can begin or resume in a folder, before any image is decoded, which may take
// minutes.

import { randomBytes } from 'node:crypto'
import { lstat, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { codeOf, writeError } from '../engine/node-files.ts'
import { checkLock } from './lock.ts'
import { exists, readConfig } from './run-config.ts'
import { type Words, inCode } from './words.ts'

/** Name of the lock file of a run. */
export const LOCK = 'lock'

/** Throws Error if `dir` holds a run. The message has the command that resumes it. */
export async function checkEmpty(dir: string, words: Words = inCode) {
  for (const name of ['config.json', 'metrics.jsonl', 'checkpoints'])
    if (await exists(join(dir, name))) {
      const { method } = await readConfig(dir, words).catch(() => ({ method: null }))
      throw new Error(
        typeof method === 'string'
          ? `${dir} already holds a run; choose ${words.elsewhere}, or go on with: ` +
              words.goOn(method, dir)
          : `${dir} already holds ${name}, and no run that can be resumed; choose ` +
              words.elsewhere,
      )
    }
}

/** Throws Error in words if a new run cannot begin in `dir`. Leaves no file behind. */
export async function checkNew(dir: string, words: Words = inCode) {
  await checkWritable(dir)
  await checkLock(join(dir, LOCK), dir, { resuming: false, elsewhere: words.elsewhere })
  await checkEmpty(dir, words)
}

/** Throws Error in words if the folder `dir` cannot be made or written. Leaves no file behind. */
export async function checkWritable(dir: string) {
  const above = await nearestFolder(resolve(dir)).catch((cause: unknown) => {
    throw writeError(dir, cause)
  })
  await tryWriting(above).catch((cause: unknown) => {
    const isOdd = codeOf(cause) === 'ENOENT' // in an existing folder
    throw writeError(
      dir,
      isOdd ? new Error('no folder can be made there; choose another folder') : cause,
    )
  })
}

/** Throws Error in words if the run in `dir` cannot be written now. Leaves no file behind. */
export async function checkOld(dir: string, { elsewhere }: Words = inCode) {
  await checkLock(join(dir, LOCK), dir, { resuming: true, elsewhere })
  for (const folder of [dir, join(dir, 'checkpoints')])
    if (await exists(folder))
      await tryWriting(folder).catch((cause: unknown) => {
        const words: Readonly<Record<string, string>> = {
          EACCES:
            'no permission to write there; change its permissions, or resume a copy of the run',
          EPERM:
            'no permission to write there; change its permissions, or resume a copy of the run',
          EROFS: 'the file system is read-only; resume a copy of the run',
        }
        const known = words[codeOf(cause)]
        throw writeError(folder, known === undefined ? cause : new Error(known))
      })
}

/** Returns the folder at `path`, or the nearest existing one above it. Throws the file system's
 *  errors, and Error in words for a file or a broken link. */
async function nearestFolder(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  })
  if (found?.isDirectory()) return path
  if (found) throw new Error('there is a file, not a folder; choose another')
  if (await lstat(path).catch(() => null))
    throw new Error('there is a link to what does not exist; choose another folder')
  return nearestFolder(dirname(path))
}

/** Makes a file in a folder, and removes it. Throws the file system's errors. */
async function tryWriting(folder: string) {
  const path = join(folder, `.kindred.${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  try {
    await writeFile(path, '', { flag: 'wx' })
  } finally {
    await rm(path, { force: true }).catch(() => undefined) // the first error counts
  }
}
