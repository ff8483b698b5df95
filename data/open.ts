// Opens data sets by name: cifar10:PATH, folder:PATH, procedural.

import { abortable } from '../kernels/abort.ts'
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { load } from '../engine/node-files.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import {
  type Rules,
  anything,
  callback,
  checkOptions,
  checkValue,
  nearestName,
  text,
} from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { openCifar10, openCifar100 } from './cifar.ts'
import { DataError, type Split } from './dataset.ts'
import { openIdx } from './idx.ts'
import { type FolderOptions, openImageFolder } from './image-folder.ts'
import { imagesIn } from './images-in-file.ts'
import { dataKinds, splitSource } from './kinds.ts'
import { procedural } from './procedural.ts'
import { openStl10 } from './stl10.ts'

/** Options of `openData`: those of a folder of images, and the seed. */
export interface OpenDataOptions extends Partial<FolderOptions> {
  /** Seed of the procedural set; 0 by default. */
  readonly seed?: number
}

const rules: Rules<OpenDataOptions> = {
  ...{
    size: anything,
    seed: seedRule,
    cache: text,
    testShare: anything,
    memory: anything,
    workers: anything,
  },
  ...{ onProgress: callback, onNotice: callback, worker: anything, originals: anything },
  ...abortable,
}

type Open = (path: string, options: OpenDataOptions) => Split | Promise<Split>

const SIDE = 32 // pixels, the default of folder and procedural images

const opens: Readonly<Record<string, Open>> = {
  cifar10: needsPath('cifar10', openCifar10),
  cifar100: needsPath('cifar100', openCifar100),
  idx: needsPath('idx', openIdx),
  stl10: needsPath('stl10', (path) => openStl10(path)),
  'stl10-unlabeled': needsPath('stl10-unlabeled', (path) => openStl10(path, { unlabeled: true })),
  folder: needsPath('folder', (path, options) =>
    openImageFolder(path, { ...options, size: options.size ?? SIDE }),
  ),
  images: needsPath('images', openImages),
  procedural: (counts, { size = SIDE, seed = 0 }) =>
    procedural({ size, seed, ...parseCounts(counts) }),
}

/** Lists how sources are named. */
const forms = () =>
  `${[...dataKinds.values()].map(({ form }) => form).join(', ')} or procedural:TRAIN,TEST`

/** Opens the two halves of the set that `spec` names. `size` is the side of folder and procedural
 *  images in pixels, 32 by default; other sets have their own. Throws DataError when the spec has
 *  none of the forms, or the data cannot be used. Rejects with the signal's reason when it is
 *  aborted: then decoding has ended, nothing is open, and the cache is as it was. */
export async function openData(spec: string, options: OpenDataOptions = {}): Promise<Split> {
  checkValue('openData', 'spec', spec, text)
  checkOptions('openData', options, rules)
  options.signal?.throwIfAborted()
  const { kind, rest } = splitSource(spec)
  const open = dataKinds.get(kind)?.open ?? (Object.hasOwn(opens, kind) ? opens[kind] : undefined)
  if (open) return opened(open(rest, options), options.signal)
  throw new DataError(`data: must be one of ${forms()}, got '${spec}'${hintFor(spec)}`)
}

/** Says how a source of an unknown kind is probably named. */
function hintFor(spec: string): string {
  if (existsSync(spec) && statSync(spec).isDirectory())
    return `; for a folder of images, folder:${spec}`
  const { kind, rest } = splitSource(spec)
  const near = nearestName(kind, [...dataKinds.keys()])
  if (near === undefined) return ''
  return `; did you mean ${near}${rest === '' ? '' : `:${rest}`}?`
}

/** Closes a set that was opened in spite of an abort, and throws the signal's reason. */
async function opened(
  opening: Split | Promise<Split>,
  signal: AbortSignal | undefined,
): Promise<Split> {
  const { train, test, ...more } = await opening
  if (signal?.aborted) {
    await Promise.all([train.close?.(), test.close?.()])
    signal.throwIfAborted()
  }
  return { train, test, ...more }
}

/** Opens a file of images (data/images-file.ts). */
async function openImages(path: string): Promise<Split> {
  const file = await load(path).catch((cause: unknown) => {
    throw new DataError(`images: ${reasonOf(cause)}`, { cause })
  })
  return imagesIn(file, path, resolve(path))
}

function needsPath(kind: string, open: Open): Open {
  return (path, options) => {
    if (path === '') throw new DataError(`data: ${kind} needs a path, as in ${kind}:PATH`)
    return open(path, options)
  }
}

function parseCounts(counts: string): { train?: number; test?: number } {
  if (counts === '') return {}
  const [, train, test] = counts.match(/^(\d+),(\d+)$/) ?? []
  if (train && test) return { train: Number(train), test: Number(test) }
  throw new DataError(
    `data: procedural takes two counts, as in procedural:5000,1000, got '${counts}'`,
  )
}
