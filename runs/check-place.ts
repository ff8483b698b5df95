// Whether a run can be begun or gone on with in a folder, looked at before anything is read or
// written: who waits for images to be decoded should not learn then that the folder is in use.

import { randomBytes } from 'node:crypto'
import { lstat, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { codeOf, writeError } from '../engine/node-files.ts'
import { checkLock } from './lock.ts'
import { exists, readConfig } from './run-config.ts'
import { type Words, inCode } from './words.ts'

/** The file by which a process holds a run. */
export const LOCK = 'lock'

/** Throws Error when `dir` holds a run already, with the command that goes on with it. */
export async function checkEmpty(dir: string, words: Words = inCode) {
  for (const name of ['config.json', 'metrics.jsonl', 'checkpoints'])
    if (await exists(join(dir, name))) {
      const { method } = await readConfig(dir, words).catch(() => ({ method: null }))
      throw new Error(
        typeof method === 'string'
          ? `${dir} already holds a run; choose ${words.elsewhere}, or go on with: ${words.goOn(method, dir)}`
          : `${dir} already holds ${name}, and no run that can be gone on with; choose ${words.elsewhere}`,
      )
    }
}

/** Throws Error in words where a new run cannot be begun in `dir`. Leaves nothing behind. */
export async function checkNew(dir: string, words: Words = inCode) {
  await checkWritable(dir)
  await checkLock(join(dir, LOCK), dir, { resuming: false, elsewhere: words.elsewhere })
  await checkEmpty(dir, words)
}

/** Throws Error in words where the folder at `dir` cannot be made, or written where it is there.
 *  Leaves nothing behind. */
export async function checkWritable(dir: string) {
  const above = await standing(resolve(dir)).catch((cause: unknown) => {
    throw writeError(dir, cause)
  })
  await tryWriting(above).catch((cause: unknown) => {
    const isOdd = codeOf(cause) === 'ENOENT' // in a folder that is there
    throw writeError(
      dir,
      isOdd ? new Error('no folder can be made there; choose another folder') : cause,
    )
  })
}

/** Throws Error in words where the run in `dir` cannot be written now. Leaves nothing behind. */
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

/** The folder at `path`, or the nearest above it that is there. Throws what the file system throws,
 *  and Error in words for what is there and no folder. */
async function standing(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  })
  if (found?.isDirectory()) return path
  if (found) throw new Error('there is a file, not a folder; choose another')
  if (await lstat(path).catch(() => null))
    throw new Error('there is a link to what does not exist; choose another folder')
  return standing(dirname(path))
}

/** Makes a file in a folder, and removes it. Throws what the file system throws. */
async function tryWriting(folder: string) {
  const path = join(folder, `.kindred.${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  try {
    await writeFile(path, '', { flag: 'wx' })
  } finally {
    await rm(path, { force: true }).catch(() => undefined) // the first error is the one to tell
  }
}
