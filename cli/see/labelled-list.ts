// A file of paths of images, one a line.

import { resolve } from 'node:path'
import { listed } from '../../data/listed.ts'
import { counted } from '../../data/words.ts'
import { readBytes } from '../../engine/node-files.ts'
import { shortened } from './nearest-list.ts'
import type { Pictures } from './pictures.ts'

type Named = Pick<Pictures, 'names' | 'paths'>

/** Returns the places of the images that a file names: as lists name them, or by their paths.
 *  Throws Error for a line that names none, or one of the `tests`. */
export async function placesOfList(path: string, images: Named, tests?: Named): Promise<number[]> {
  const lines = new TextDecoder().decode(await readBytes(path)).split(/\r?\n/)
  const given = lines.filter((line) => line !== '')
  const place = placesIn(images)
  const unknown = given.filter((line) => place(line) === undefined)
  if (unknown.length > 0) {
    const inTests = tests && placesIn(tests)
    const held = unknown.filter((line) => inTests?.(line) !== undefined)
    if (held.length > 0)
      throw new Error(
        `--labelled: ${path} must name training images; ` +
          `${counted(held.length, 'line names a test image', 'lines name test images')}: ` +
          `${named(held)}; list training images alone, by curate --half train`,
      )
    throw new Error(
      `--labelled: ${path} must name images of the set, one a line; ` +
        `${counted(unknown.length, 'line names', 'lines name')} none: ${named(unknown)}`,
    )
  }
  return [...new Set(given.flatMap((line) => place(line) ?? []))]
}

/** Lists the first lines, each at most 60 characters long. */
const named = (lines: readonly string[]) =>
  listed(
    lines.map((line) => shortened(line, 60)),
    3,
  )

/** Returns the function from a line to the place of the image that it names. */
function placesIn({ names, paths }: Named): (line: string) => number | undefined {
  const byName = new Map(names.map((name, i) => [name, i]))
  const byPath = new Map(paths?.map((each, i) => [each, i]))
  return (line) => byName.get(line) ?? byPath.get(resolve(line))
}
