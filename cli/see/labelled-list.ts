// A file of paths of images, one a line.

import { resolve } from 'node:path'
import { listed } from '../../data/listed.ts'
import { counted } from '../../data/words.ts'
import { readBytes } from '../../engine/node-files.ts'
import type { Pictures } from './pictures.ts'

/** Returns the places of the images that a file names: as lists name them, or by their paths. Throws
 *  Error for a line that names none. */
export async function placesOfList(
  path: string,
  { names, paths }: Pick<Pictures, 'names' | 'paths'>,
): Promise<number[]> {
  const lines = new TextDecoder().decode(await readBytes(path)).split(/\r?\n/)
  const given = lines.filter((line) => line !== '')
  const byName = new Map(names.map((name, i) => [name, i]))
  const byPath = new Map(paths?.map((each, i) => [each, i]))
  const place = (line: string) => byName.get(line) ?? byPath.get(resolve(line))
  const unknown = given.filter((line) => place(line) === undefined)
  if (unknown.length > 0) {
    const isTest = unknown.some((line) => line.startsWith('test/'))
    const remedy = isTest ? '; list training images alone, by curate --half train' : ''
    throw new Error(
      `--labelled: ${path} must name images of the set, one a line; ` +
        `${counted(unknown.length, 'line names', 'lines name')} none: ${listed(unknown, 3)}${remedy}`,
    )
  }
  return [...new Set(given.flatMap((line) => place(line) ?? []))]
}
