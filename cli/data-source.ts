// The path of a run's images: as --data names it, as config.json holds it, and found again after
// the run, the images or both have moved.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import { dataKinds, splitSource } from '../data/kinds.ts'
import { printable } from '../kernels/printable.ts'
import type { TrainConfig } from '../training/run-schema.ts'

/** A data set in config.json: its source with an absolute path, and the path relative to the run
 *  folder. */
export type Source = Pick<TrainConfig, 'data' | 'dataFromRun'>

/** Returns the source of a run in `dir` whose --data is `spec`. It holds from any folder. */
export function sourceOf(spec: string, dir: string): Source {
  const { kind, path } = split(spec)
  if (path === null) return { data: spec }
  const absolute = resolve(path)
  return { data: `${kind}:${absolute}`, dataFromRun: relative(real(resolve(dir)), real(absolute)) }
}

/** Returns the source with an absolute path, for messages and other commands. */
export function absoluteSource(spec: string): string {
  const { kind, path } = split(spec)
  return path === null ? spec : `${kind}:${resolve(path)}`
}

/** Finds the images of the run in `dir`, and returns their source. Looks at the absolute path
 *  first, then at the path relative to the run. Throws Error if the images are at neither. */
export function findSource({ data, dataFromRun }: Source, dir: string): string {
  const { kind, path } = split(data)
  const near = dataFromRun === undefined ? null : resolve(real(resolve(dir)), dataFromRun)
  const isBeside = near !== null && existsSync(near)
  // a packed run names images that lie in it: `images.safetensors` elsewhere is another's
  if (path !== null && isBeside && !isAbsolute(path)) return `${kind}:${near}`
  if (path === null || existsSync(path)) return data
  if (isBeside) return `${kind}:${near}`
  const looked = near === null || near === path ? path : `${path}, nor at ${near}`
  const below = isAbsolute(path) ? '' : ` below ${process.cwd()}`
  throw new Error(
    `${dir}: its images are not at ${looked}${below}; say where they are with --data ${kind}:PATH`,
  )
}

/** Names the images of a source in messages: by their kind, or by the one file that holds them. */
export function sourceName(source: string, { name }: Pick<Dataset, 'name'>): string {
  const { kind, rest } = splitSource(source)
  return kind === 'images' ? printable(rest) : name
}

/** Splits a source into kind and path. Built-in images have no path. */
function split(spec: string): { readonly kind: string; readonly path: string | null } {
  const { kind, rest } = splitSource(spec)
  return { kind, path: dataKinds.get(kind)?.path === false || rest === '' ? null : rest }
}

/** Resolves the links in the existing part of a path. */
function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(real(parent), relative(parent, path))
  }
}
