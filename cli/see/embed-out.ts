// The output of kindred embed: its format, by the ending of --out, and its files.

import { basename, extname } from 'node:path'
import { lookAt } from '../../data/paths.ts'
import { UsageError } from '../../training/choice.ts'
import {
  type NamedFeatures,
  featuresCsv,
  namesCsv,
  npyOfRows,
  safetensorsOf,
} from './feature-files.ts'
import { parquetOf } from './parquet-file.ts'
import { type FileParts, checkFree, writeTogether } from './out-file.ts'
import { writeFolder } from './out-folder.ts'
import { projectorFiles } from './projector.ts'

/** A file that is made, and its parts. */
type Made = readonly (readonly [path: string, parts: FileParts])[]

/** Formats by the ending of --out. */
const formats: Readonly<Record<string, (path: string, given: NamedFeatures) => Made>> = {
  '.safetensors': (path, given) => [[path, safetensorsOf(given)]],
  '.csv': (path, given) => [[path, featuresCsv(given)]],
  '.parquet': (path, given) => [[path, parquetOf(given)]],
  '.npy': (path, given) => [
    [path, npyOfRows(given)],
    [namesBeside(path), namesCsv(given)],
  ],
}

const namesBeside = (path: string) => `${path.slice(0, -'.npy'.length)}.names.csv`

/** Throws UsageError for a format that is not known, and Error for a file that exists. */
export async function checkOut(out: string, force: boolean) {
  const ending = extname(out)
  if (Object.hasOwn(formats, basename(out)))
    throw new UsageError(`--out: must have a name before its ending, got ${out}`)
  if (isFolder(out)) {
    const { status } = await lookAt(out)
    if (status && !status.isDirectory()) throw new Error(`--out: ${out} is a file; name a folder`)
    if (status && !force)
      throw new Error(
        `--out: ${out} exists; add --force to replace the projector's files in it, or give ` +
          'another name',
      )
    return
  }
  if (!Object.hasOwn(formats, ending))
    throw new UsageError(
      `--out: must end in ${Object.keys(formats).join(', ')}, or be a folder without an ending ` +
        `for TensorFlow's projector, got ${out}`,
    )
  await checkFree('--out', out, force)
  if (ending === '.npy') await checkFree('--out', namesBeside(out), force)
}

const isFolder = (out: string) => out.endsWith('/') || extname(out) === ''

/** Writes all files, and lists their paths. */
export async function writeAll(
  out: string,
  given: NamedFeatures,
  force: boolean,
): Promise<string[]> {
  if (isFolder(out))
    return writeFolder('--out', out.replace(/\/+$/, ''), projectorFiles(given), force)
  const files = formats[extname(out)]?.(out, given) ?? []
  await writeTogether('--out', files, force)
  return files.map(([path]) => path)
}
