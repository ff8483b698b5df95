// A folder of files that a command makes.

import { mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { lookAt } from '../../data/paths.ts'
import { writeError } from '../../engine/node-files.ts'
import { syncFolderNow } from './place-together.ts'
import { type FileParts, discarded, draftOf, writeParts, writeTogether } from './out-file.ts'

/** Makes a folder whole, or replaces the files of the same names in one that exists. */
export async function writeFolder(
  flag: string,
  folder: string,
  files: readonly (readonly [name: string, parts: FileParts])[],
  force: boolean,
): Promise<string[]> {
  const { status } = await lookAt(folder)
  const paths = files.map(([name]) => join(folder, name))
  if (status) {
    const placed = files.map(([name, parts]) => [join(folder, name), parts] as const)
    await writeTogether(flag, placed, force)
    return paths
  }
  const draft = draftOf(folder)
  try {
    await mkdir(draft)
    for (const [name, parts] of files) await writeParts(join(draft, name), parts)
    syncFolderNow(draft)
    await rename(draft, folder)
    syncFolderNow(dirname(folder))
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? writeError(folder, error) : error
  } finally {
    await discarded(draft)
  }
  return paths
}
