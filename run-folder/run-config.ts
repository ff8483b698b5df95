// Reads config.json, with errors in words.

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { kindOf, lookAt } from '../data/paths.ts'
import { codeOf, readBytes } from '../engine/node-files.ts'
import { configIn } from '../training/config-file.ts'
import type { Config } from '../training/storage.ts'
import { type Words, inCode } from './words.ts'

/** Reads config.json of the run in `dir`. Throws Error if it is missing or no JSON object. */
export async function readConfig(dir: string, { elsewhere }: Words = inCode): Promise<Config> {
  const path = join(dir, 'config.json')
  const { status, trouble } = await lookAt(dir)
  const wrong = !status
    ? trouble
    : status.isDirectory()
      ? null
      : `is ${kindOf(status)}, not a run folder`
  if (wrong !== null) throw new Error(`${dir} ${wrong}; give the --out folder of a training`)
  if (!(await exists(path)))
    throw new Error(
      `${dir} is not a run folder: it has no config.json; give the --out folder of a training`,
    )
  const found = await lookAt(path)
  if (!found.status)
    throw new Error(`${path} ${found.trouble}; restore it, or train again with ${elsewhere}`)
  const text = new TextDecoder().decode(await readBytes(path))
  const read = configIn(text)
  if ('config' in read) return read.config
  throw new Error(`${path} is damaged: ${read.fault}; restore it, or train again with ${elsewhere}`)
}

/** Tells whether a file, folder or link is at `path`. A broken link counts. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return false
    throw error
  }
}

/** Encodes a text in UTF-8. */
export const utf8 = (text: string) => new TextEncoder().encode(text)
