// Where a training takes place: the flags that say so, the run that it goes on with, and the folder of a new one.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { UsageError } from './choice.ts'
import type { AnyConfig } from './config.ts'
import type { Resident } from './feed.ts'
import { methods } from './presets.ts'
import { openRun } from './run-folder.ts'

/** What every training takes besides its settings. */
export interface PlaceFlags {
  readonly out?: string
  readonly resume?: string | true
  readonly adapter?: string
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean
  /** Whether the training images lie on the GPU. */
  readonly resident?: Resident
  readonly json?: boolean
}

/** The run folder that --resume means, or null. Throws UsageError for flags that a resumed run cannot take. */
export function folderToResume({
  resume,
  out,
  json: _json,
  adapter: _adapter,
  shuffle = true, // commander always gives it
  capture: _capture,
  resident: _resident,
  ...others
}: PlaceFlags & { readonly shuffle?: boolean }): string | null {
  if (resume === undefined) return null
  const dir = resume === true ? out : resume
  if (dir === undefined) throw new UsageError('--resume: name the run folder, as in --resume runs/a')
  if (out !== undefined && resolve(out) !== resolve(dir))
    throw new UsageError(
      `--out: must be the folder of --resume, where the run goes on, or left out, got ${out} beside ${dir}`,
    )
  const [extra] = [...Object.keys(others), ...(shuffle ? [] : ['noShuffle'])]
  if (extra !== undefined)
    throw new UsageError(`--resume goes on with the run's own settings; leave out --${dashed(extra)}`)
  return dir
}

const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** The configuration of the run in `dir`, which must be of this method. Throws Error, with what to say instead. */
export async function savedConfig<Config extends AnyConfig>(
  { name, title }: { readonly name: Config['method']; readonly title: string },
  dir: string,
): Promise<Config> {
  const { config } = await openRun(dir)
  const method = String(config['method'])
  if (method === name) return config as unknown as Config // written when the run began
  const trained = method === 'amdim' || Object.hasOwn(methods, method)
  throw new Error(
    `${dir}: config.json is not of a ${title} run, its method is ${method}${trained ? `; go on with: kindred train ${method} --resume ${dir}` : ''}`,
  )
}

/** The first of runs/<method>-<data>-1, -2, ... that does not exist. */
export function nextFree({ method, data, preset }: AnyConfig): string {
  const name = preset === 'simclr-demo' ? 'demo' : `${method}-${data.split(':')[0] ?? 'run'}`
  for (let n = 1; ; n++) {
    const dir = join('runs', `${name}-${n}`)
    if (!existsSync(dir)) return dir
  }
}
