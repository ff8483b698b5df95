// config.json as a file: read with words for what is wrong with it, and as the bytes that are
// written.

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { kindOf, lookAt } from '../data/paths.ts'
import { codeOf, readBytes } from '../engine/node-files.ts'
import { isObject, parse } from '../training/json.ts'
import type { Config } from '../training/storage.ts'
import { type Words, inCode } from './words.ts'

/** config.json of the run in `dir`. Throws Error when there is none or it is no JSON object. */
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
  const config = parse(text)
  if (!isObject(config))
    throw new Error(
      `${path} is damaged: it is not a JSON object${faultOf(text)}; restore it, or train again with ${elsewhere}`,
    )
  return withTodaysNames(config)
}

/** Settings that an older version wrote under another name: SimCLR's head `leftthomas` was `seed`. */
function withTodaysNames(config: Config): Config {
  const { head } = config
  if (!isObject(head) || head['style'] !== 'seed') return config
  return { ...config, head: { ...head, style: 'leftthomas' } }
}

/** Whether there is something of that name, a link to nowhere included. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error))) return false
    throw error
  }
}

/** What config.json is written as. */
export const configBytes = (config: Config) => utf8(`${JSON.stringify(config, null, 2)}\n`)

/** A text in UTF-8. */
export const utf8 = (text: string) => new TextEncoder().encode(text)

/** Where a text stops being JSON, in words; '' when it is JSON. */
function faultOf(text: string): string {
  try {
    JSON.parse(text)
    return ''
  } catch (error) {
    const [, at] = (error instanceof Error ? error.message : '').match(/position (\d+)/) ?? []
    const line = text.slice(0, at === undefined ? text.length : Number(at)).split('\n').length
    return ` (line ${line})`
  }
}
