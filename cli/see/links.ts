// A folder of links to images.

import { lstat, mkdir, rename, symlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { codeOf, writeError } from '../../engine/node-files.ts'
import { printable } from '../../kernels/printable.ts'
import { checkWritable } from '../runs.ts'
import type { Curated } from './curated.ts'
import { draftOf, discarded } from './out-file.ts'
import type { Pictures } from './pictures.ts'

/** Throws Error if a folder of links cannot be made at `folder`. */
export async function checkNewFolder(folder: string) {
  if (await lstat(folder).catch(() => null))
    throw new Error(`--link: ${printable(folder)} exists; name a new folder`)
  await checkWritable(dirname(resolve(folder)))
}

/** Makes a folder of links to all listed images, whole: 0001-NAME in their order, in a folder for
 *  each group where groups stand apart. Makes none where nothing is listed, and returns whether it
 *  did. Throws Error with a remedy. */
export async function makeLinks(
  given: string,
  { listed, apart }: Curated,
  { paths }: Pictures,
): Promise<boolean> {
  if (listed.every((places) => places.length === 0)) return false
  const folder = resolve(given)
  const draft = draftOf(folder)
  try {
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(draft)
    let made = 0
    for (const [g, places] of listed.entries()) {
      const own = apart ? join(draft, `group-${numbered(g + 1)}`) : draft
      if (apart && places.length > 0) await mkdir(own)
      for (const i of places) {
        const path = paths?.[i] ?? ''
        await symlink(path, join(own, `${numbered(++made)}-${basename(path)}`))
      }
    }
    await rename(draft, folder)
    return true
  } catch (cause) {
    throw writeError(given, isClosed(cause) ? new Error('this file system has no links') : cause)
  } finally {
    await discarded(draft)
  }
}

const isClosed = (error: unknown) =>
  ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error))

const numbered = (n: number) => String(n).padStart(4, '0')
