// Gives finished files their names, all or none. It never waits, so no signal comes between two. A
// power cut may: each file is whole then, and what was replaced is still beside it, under a hidden
// name.

import { closeSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { codeOf } from '../../engine/node-files.ts'
import { printable } from '../../kernels/printable.ts'

/** A path, the hidden name of its old file, null if it had none, and whether it has its new one. */
interface Placed {
  readonly path: string
  readonly old: string | null
  isNew: boolean
}

/** Gives each draft its name; with `force` it replaces what has that name. `onTurn` hears each path
 *  before it. The names are on disk when it returns. Throws the file system's error, once all is as
 *  it was before. */
export function placeTogether(
  drafts: readonly { readonly path: string; readonly draft: string }[],
  force: boolean,
  onTurn: (path: string) => void,
) {
  const placed: Placed[] = []
  const folders = [...new Set(drafts.map(({ path }) => dirname(path)))]
  try {
    for (const { path } of drafts) {
      onTurn(path)
      placed.push({ path, old: force ? keepOld(path) : null, isNew: false })
    }
    if (placed.some(({ old }) => old !== null)) folders.forEach(syncFolderNow)
    for (const [i, { path, draft }] of drafts.entries()) {
      onTurn(path)
      if (force) renameSync(draft, path)
      else linkNew(draft, path)
      const one = placed[i]
      if (one) one.isNew = true
    }
    folders.forEach(syncFolderNow)
  } catch (error) {
    const lost = placed.reverse().flatMap(putBack)
    throw lost[0] ?? error
  }
  for (const { old } of placed) if (old !== null) rmSync(old, { force: true })
}

/** Syncs a folder: names are on disk only once their folder is. */
export function syncFolderNow(path: string) {
  if (process.platform === 'win32') return // Windows cannot open a folder
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Undoes one. Returns an error that names the old file if it cannot go back. */
function putBack({ path, old, isNew }: Placed): Error[] {
  try {
    if (old === null) {
      if (isNew) rmSync(path, { force: true })
    } else {
      renameSync(old, path) // does nothing where both name one file
      rmSync(old, { force: true })
    }
    return []
  } catch (cause) {
    const what = printable(path)
    const where = old === null ? 'remove it' : `its old contents are in ${printable(old)}`
    return [new Error(`cannot put ${what} back as it was; ${where}`, { cause })]
  }
}

/** Gives the file at a path a hidden name beside it, and returns that; null if there is none. What
 *  a crash has left under such a name stays. Throws for a folder, which a rename would move
 *  away. */
function keepOld(path: string): string | null {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return null
  if (found.isDirectory())
    throw Object.assign(new Error('a folder'), { code: 'EISDIR', syscall: 'rename' })
  for (let n = 0; ; n++) {
    const old = join(
      dirname(path),
      `.${basename(path)}.${process.pid}${n === 0 ? '' : `-${n}`}.old`,
    )
    if (isLinked(path, old)) return old
  }
}

/** Gives a file a second name. Returns false where that is taken. */
function isLinked(from: string, to: string): boolean {
  try {
    linkNew(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Gives a file a second name, which must be free. Renames it where there are no hard links. */
function linkNew(from: string, to: string) {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'].includes(codeOf(error))) throw error
    if (lstatSync(to, { throwIfNoEntry: false }))
      throw Object.assign(new Error('taken'), { code: 'EEXIST', syscall: 'link' })
    renameSync(from, to)
  }
}
