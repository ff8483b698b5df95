// Where a run's images are: as --data names them, as config.json keeps them, and found again when
// the run, the images or both were moved.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { dataKinds, splitSource } from '../data/kinds.ts'
import type { TrainConfig } from '../training/run-schema.ts'

/** What config.json holds of a data set: its source with an absolute path, and the same path seen
 * from the run folder. */
export type Source = Pick<TrainConfig, 'data' | 'dataFromRun'>

/** The source of a run in `dir`, whose --data is `spec`, so that it is found from any folder. */
export function sourceOf(spec: string, dir: string): Source {
  const { kind, path } = split(spec)
  if (path === null) return { data: spec }
  const absolute = resolve(path)
  return { data: `${kind}:${absolute}`, dataFromRun: relative(real(resolve(dir)), real(absolute)) }
}

/** The source with an absolute path, as messages and other commands may name it. */
export function absoluteSource(spec: string): string {
  const { kind, path } = split(spec)
  return path === null ? spec : `${kind}:${resolve(path)}`
}

/** The --data of the run in `dir` as its images are found now. Throws Error when they are at
 * neither place. */
export function findSource({ data, dataFromRun }: Source, dir: string): string {
  const { kind, path } = split(data)
  if (path === null || existsSync(path)) return data
  const near = dataFromRun === undefined ? null : resolve(real(resolve(dir)), dataFromRun)
  if (near !== null && existsSync(near)) return `${kind}:${near}`
  const places = near === null || near === path ? path : `${path}, nor at ${near}`
  throw new Error(
    `${dir}: its images are not at ${places}${isAbsolute(path) ? '' : ` below ${process.cwd()}`}; say where they are with --data ${kind}:PATH`,
  )
}

/** A source's kind and path; built-in images have no path. */
function split(spec: string): { readonly kind: string; readonly path: string | null } {
  const { kind, rest } = splitSource(spec)
  return { kind, path: dataKinds.get(kind)?.path === false || rest === '' ? null : rest }
}

/** The path with no links in it, as far as it exists. */
function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(real(parent), relative(parent, path))
  }
}
