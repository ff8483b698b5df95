// The path of a run's images: as --data names it, as config.json holds it, and found again after
// the run, the images or both have moved.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import type { Dataset } from '../data/dataset.ts'
import { dataKinds, kindOfSource, splitSource } from '../data/kinds.ts'
import { printable } from '../kernels/printable.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'

/** A data set in config.json: its source with an absolute path, and the path relative to the run
 *  folder. */
export type Source = Pick<TrainConfig, 'data' | 'dataFromRun'>

/** A data set, and what a run says of its import. */
interface FoundSource extends Source {
  readonly about?: Readonly<Record<string, unknown>>
}

/** Returns the source of a run in `dir` whose --data is `spec`. It holds from any folder. */
export function sourceOf(spec: string, dir: string): Source {
  const { kind, path } = split(spec)
  if (path === null) return { data: spec }
  const absolute = resolve(path)
  return { data: `${kind}:${absolute}`, dataFromRun: relative(real(resolve(dir)), real(absolute)) }
}

/** Checks how a source is named that is noted for later, not opened now. Throws UsageError for an
 *  unknown kind, and for one without its path. */
export function checkSource(spec: string) {
  const { kind, path } = split(spec)
  const known = kindOfSource(spec)
  if (!known) {
    const forms = [...dataKinds.values()].map(({ form }) => form).join(', ')
    throw new UsageError(`--data: must be one of ${forms}, got '${spec}'`)
  }
  if (known.path && path === null)
    throw new UsageError(`--data: ${kind} needs a path, as in ${known.form}`)
}

/** Throws as `checkSource` does, and Error for a path where there is nothing. */
export function checkSourceHere(spec: string) {
  checkSource(spec)
  const { path } = split(spec)
  if (path !== null && !existsSync(path))
    throw new Error(
      `--data: there is nothing at ${path}; say where the images are, or leave it out`,
    )
}

/** Tells whether the images of a source lie at a path, as those that are drawn do not. */
export const hasPath = (spec: string): boolean => split(spec).path !== null

/** Returns the source with an absolute path, for messages and other commands. */
export function absoluteSource(spec: string): string {
  const { kind, path } = split(spec)
  return path === null ? spec : `${kind}:${resolve(path)}`
}

/** Finds the images of the run in `dir`, and returns their source. Looks at the absolute path
 *  first, then at the path relative to the run. Throws Error if the images are at neither. */
export function findSource({ data, dataFromRun, about }: FoundSource, dir: string): string {
  const { kind, path } = split(data)
  const near = dataFromRun === undefined ? null : resolve(real(resolve(dir)), dataFromRun)
  const isBeside = near !== null && existsSync(near)
  // a packed run names images that lie in it: `images.safetensors` elsewhere is another's
  if (path !== null && isBeside && !isAbsolute(path)) return `${kind}:${near}`
  if (path === null || existsSync(path)) return data
  if (isBeside) return `${kind}:${near}`
  const looked = near === null || near === path ? path : `${path}, nor at ${near}`
  const below = isAbsolute(path) ? '' : ` below ${process.cwd()}`
  const { imported, carried } = about ?? {}
  const packed =
    carried === 'left out' ? `, or import ${String(imported)} again without --data` : ''
  throw new Error(
    `${dir}: its images are not at ${looked}${below}; say where they are with --data ` +
      `${kind}:PATH${packed}`,
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
