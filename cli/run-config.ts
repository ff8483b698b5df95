// config.json as a file: read with words for what is wrong with it, and as the bytes that are
// written.

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { kindOf, lookAt } from '../data/paths.ts'
import { codeOf, readBytes } from '../engine/node-files.ts'

/** Everything a run was started with, as config.json holds it. */
export type Config = Readonly<Record<string, unknown>>

/** config.json of the run in `dir`. Throws Error when there is none or it is no JSON object. */
export async function readConfig(dir: string): Promise<Config> {
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
    throw new Error(`${path} ${found.trouble}; restore it, or train again with another --out`)
  const text = new TextDecoder().decode(await readBytes(path))
  const config = parse(text)
  if (!isObject(config))
    throw new Error(
      `${path} is damaged: it is not a JSON object${faultOf(text)}; restore it, or train again with another --out`,
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
export const configBytes = (config: Config) => bytesOf(`${JSON.stringify(config, null, 2)}\n`)

/** A text in UTF-8. */
export const bytesOf = (text: string) => new TextEncoder().encode(text)

/** The value of a JSON text; undefined when it is not JSON. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

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

/** Whether a value of JSON is an object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
