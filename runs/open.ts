// Opens run folders: a new one, one to read, one to go on with.

import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, writeAtomic } from '../engine/node-files.ts'
import { changesBetween, describeChanges } from '../training/history.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Config } from '../training/storage.ts'
import { LOCK, checkEmpty } from './check-place.ts'
import { type Wanted, lock } from './lock.ts'
import { configBytes, exists, readConfig } from './run-config.ts'
import { RunFolder } from './run-folder.ts'
import { type Words, inCode } from './words.ts'

/** A new run in `dir`, which is created; this process holds it until `close`. Throws Error when it
 *  already holds a run, is in use, or cannot be written. */
export async function createRun(
  dir: string,
  config: Config,
  words: Words = inCode,
): Promise<RunFolder> {
  await makeFolder(dir)
  return holding(dir, { resuming: false, elsewhere: words.elsewhere }, async (unlock) => {
    await checkEmpty(dir, words)
    await makeFolder(join(dir, 'checkpoints'))
    await writeAtomic(join(dir, 'config.json'), configBytes(config)).catch(
      async (error: unknown) => {
        await rmdir(join(dir, 'checkpoints')) // so that the same command may be tried again
        throw error
      },
    )
    return new RunFolder(dir, config, { unlock, words })
  })
}

/** The run in `dir`, for reading. Throws Error when it is not a run folder or its config.json is
 *  damaged. */
export async function openRun(dir: string, words: Words = inCode): Promise<RunFolder> {
  return new RunFolder(dir, await readConfig(dir, words), { unlock: null, words })
}

/** The run in `dir`, for going on with it: this process holds it until `close`, and what an
 *  interrupted write left behind is removed. Throws like `openRun`, and when another process holds
 *  it. */
export async function resumeRun(dir: string, words: Words = inCode): Promise<RunFolder> {
  const config = await readConfig(dir, words)
  return holding(dir, { resuming: true }, async (unlock) => {
    await makeFolder(join(dir, 'checkpoints'))
    for (const folder of [dir, join(dir, 'checkpoints')])
      for (const name of await readdir(folder))
        if (name.startsWith('.') && name.endsWith('.tmp'))
          await rm(join(folder, name), { force: true })
    const run = new RunFolder(dir, config, { unlock, words })
    await run.keepMetrics(() => true) // a line cut short would run into the next one
    return run
  })
}

/** The run in `dir` for `train`: gone on with where there is one, else begun with `config`. This
 *  process holds it until `close`. Throws like `resumeRun` and `createRun`, and Error when the run
 *  that is there has other settings than `config`. */
export async function runFolder(dir: string, config?: TrainConfig): Promise<RunFolder> {
  if (!(await exists(join(dir, 'config.json')))) {
    if (config) return createRun(dir, { ...config })
    throw new Error(
      `runFolder: ${dir} holds no run; give the configuration of a new one, as configOf makes it`,
    )
  }
  const run = await resumeRun(dir)
  const changes = config ? changesBetween(settingsOf(run.config), settingsOf({ ...config })) : {}
  if (Object.keys(changes).length === 0) return run
  await run.close()
  throw new Error(
    `runFolder: ${dir} holds a run with other settings: ${describeChanges(changes)}; leave out the configuration to go on with it, or choose another folder`,
  )
}

/** The fields of a configuration that decide a training's numbers. */
const settingsOf = (config: Config) =>
  Object.fromEntries(
    Object.entries(config).filter(
      ([key]) => !['about', 'history', 'data', 'dataFromRun'].includes(key),
    ),
  )

/** Runs `body` with the lock on `dir`, which it passes on, or which is given back when it
 *  throws. */
async function holding<T>(
  dir: string,
  wanted: Wanted,
  body: (unlock: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const unlock = await lock(join(dir, LOCK), dir, wanted)
  try {
    return await body(unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}
