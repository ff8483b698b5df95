// Keeps the results of the tuner in the user's cache folder: kernels.json, by device. It only makes
// kernels faster: if it is lost, or two processes write it at once, ways are measured again.

import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Tuner, Ways } from './autotune.ts'
import { makeFolder, writeAtomic } from './node-files.ts'

/** Returns the path of the file, in $KINDRED_CACHE, $XDG_CACHE_HOME/kindred, %LOCALAPPDATA%\kindred
 *  or ~/.cache/kindred. */
export function tuneFile(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const { KINDRED_CACHE: own, XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = environment
  const folder =
    own ??
    (xdg || local ? join(xdg ?? local ?? '', 'kindred') : join(homedir(), '.cache', 'kindred'))
  return join(folder, 'kernels.json')
}

/** Gives the tuner the results in the file for its device, and makes it write new ones there. Its
 *  `tune` throws Error when that fails. */
export async function keepInFile(
  tuner: Tuner,
  info: GPUAdapterInfo,
  file = tuneFile(),
): Promise<void> {
  const device = [info.vendor, info.architecture, info.device, info.description].join(' | ')
  tuner.learn((await read(file))[device] ?? {})
  tuner.onLearned = async (ways) => {
    const all = { ...(await read(file)), [device]: ways }
    await makeFolder(dirname(file))
    await writeAtomic(file, new TextEncoder().encode(`${JSON.stringify(all, null, 2)}\n`))
  }
}

/** Reads the file; returns {} if there is none, or it is not one of Kindred's. */
async function read(file: string): Promise<Record<string, Ways>> {
  const text = await readFile(file, 'utf8').catch(() => '{}')
  try {
    const all: unknown = JSON.parse(text)
    return isRecord(all)
      ? Object.fromEntries(Object.entries(all).map(([device, ways]) => [device, waysOf(ways)]))
      : {}
  } catch {
    return {} // cut off: the next write replaces it
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function waysOf(value: unknown): Ways {
  if (!isRecord(value)) return {}
  const numbers = Object.entries(value).filter((entry): entry is [string, number] =>
    Number.isInteger(entry[1]),
  )
  return Object.fromEntries(numbers)
}
