// Opens run folders: a new one, one to read, one to resume.

import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, writeAtomic } from '../engine/node-files.ts'
import { configBytes } from '../training/config-file.ts'
import { describeChanges, otherSettings } from '../training/history.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Config } from '../training/storage.ts'
import { LOCK, checkEmpty } from './check-place.ts'
import { type Purpose, lock } from './lock.ts'
import { exists, readConfig } from './run-config.ts'
import { RunFolder } from './run-folder.ts'
import { type Words, inCode } from './words.ts'

/** Makes a run folder at `dir` and locks it until `close`. Throws Error if it holds a run, is in
 *  use, or cannot be written. */
export async function createRun(
  dir: string,
  config: Config,
  words: Words = inCode,
): Promise<RunFolder> {
  await makeFolder(dir)
  return locked(dir, { resuming: false, elsewhere: words.elsewhere }, async (unlock) => {
    await checkEmpty(dir, words)
    await makeFolder(join(dir, 'checkpoints'))
    await writeAtomic(join(dir, 'config.json'), configBytes(config)).catch(
      async (error: unknown) => {
        await rmdir(join(dir, 'checkpoints')) // so that the same command can run again
        throw error
      },
    )
    return new RunFolder(dir, config, { unlock, words })
  })
}

/** Opens the run in `dir` for reading. Throws Error if it is no run folder or its config.json is
 *  damaged. */
export async function openRun(dir: string, words: Words = inCode): Promise<RunFolder> {
  return new RunFolder(dir, await readConfig(dir, words), { unlock: null, words })
}

/** Opens the run in `dir` to resume it, and locks it until `close`. Removes the files of an
 *  interrupted write. Throws like `openRun`, and if another process holds the lock. */
export async function resumeRun(dir: string, words: Words = inCode): Promise<RunFolder> {
  const config = await readConfig(dir, words)
  return locked(dir, { resuming: true }, async (unlock) => {
    await makeFolder(join(dir, 'checkpoints'))
    for (const folder of [dir, join(dir, 'checkpoints')])
      for (const name of await readdir(folder))
        if (name.startsWith('.') && name.endsWith('.tmp'))
          await rm(join(folder, name), { force: true })
    const run = new RunFolder(dir, config, { unlock, words })
    await run.keepMetrics(() => true) // removes a last line that was cut short
    return run
  })
}

/** Opens the run in `dir` for `train`: resumes an existing run, else makes one with `config`. Locks
 *  it until `close`. Throws like `resumeRun` and `createRun`, and Error if the existing run has
 *  other settings than `config`. */
export async function runFolder(dir: string, config?: TrainConfig): Promise<RunFolder> {
  if (!(await exists(join(dir, 'config.json')))) {
    if (config) return createRun(dir, { ...config })
    throw new Error(
      `runFolder: ${dir} holds no run; give the configuration of a new one, as configOf makes it`,
    )
  }
  const run = await resumeRun(dir)
  const changes = config ? otherSettings(run.config, config) : {}
  if (Object.keys(changes).length === 0) return run
  await run.close()
  throw new Error(
    `runFolder: ${dir} holds a run with other settings: ${describeChanges(changes)}; leave ` +
      'out the configuration to go on with it, or choose another folder',
  )
}

/** Locks `dir` and runs `body` with the function that unlocks it. Unlocks it if `body` throws. */
async function locked<T>(
  dir: string,
  purpose: Purpose,
  body: (unlock: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const unlock = await lock(join(dir, LOCK), dir, purpose)
  try {
    return await body(unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}
