// A folder of files that a command makes.

import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { lookAt } from '../../data/paths.ts'
import { writeError } from '../../engine/node-files.ts'
import { type FileParts, draftOf, discarded, writeNew } from './out-file.ts'

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
    for (const [name, parts] of files) await writeNew(flag, join(folder, name), parts, force)
    return paths
  }
  const draft = draftOf(folder)
  try {
    await mkdir(draft)
    for (const [name, parts] of files) await writeNew(flag, join(draft, name), parts, true)
    await rename(draft, folder)
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? writeError(folder, error) : error
  } finally {
    await discarded(draft)
  }
  return paths
}
