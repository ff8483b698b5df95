// Runs in the page's private file system (OPFS), a folder each below `kindred`. Every browser that
// has WebGPU has `createWritable`, in windows and in workers: it writes beside the file and
// replaces that when it is closed.

import { reasonOf } from '../kernels/reason-of.ts'
import type { RunStore, RunFiles } from './place.ts'
import { type WebFile, type WebFolder, web } from './web.ts'

const ROOT = 'kindred'

/** Opens the private file system. Throws Error if there is none, or it cannot be used. */
export async function opfsPlace(): Promise<RunStore> {
  const { storage } = web()
  if (!storage?.getDirectory) throw new Error('it has no private file system')
  const top = await storage.getDirectory().catch((cause: unknown) => {
    const why = reasonOf(cause)
    throw new Error(`its private file system cannot be used (${why})`, { cause })
  })
  const root = await top.getDirectoryHandle(ROOT, { create: true })
  return {
    kind: 'opfs',
    runs: async () => {
      const names: string[] = []
      for await (const [name, { kind }] of root.entries())
        if (kind === 'directory') names.push(name)
      return names
    },
    files: (run) => filesOf(root, run),
    remove: (run) => root.removeEntry(run, { recursive: true }).catch(unlessMissing),
  }
}

function filesOf(root: WebFolder, run: string): RunFiles {
  const folder = (create = false) => root.getDirectoryHandle(run, { create })
  const all = async () => {
    const found: (readonly [name: string, file: Blob])[] = []
    const own = await folder().catch(unlessMissing)
    if (own)
      for await (const [name, entry] of own.entries())
        if (entry.kind === 'file') found.push([name, await entry.getFile()])
    return found.filter(([, { size }]) => size > 0) // without those that were never written
  }
  return {
    names: async () => (await all()).map(([name]) => name),
    read: async (name) => {
      const handle = await folder()
        .then((own) => own.getFileHandle(name))
        .catch(unlessMissing)
      const file = await handle?.getFile()
      return file && file.size > 0 ? new Uint8Array(await file.arrayBuffer()) : null
    },
    write: async (name, bytes) => {
      await replace(await (await folder(true)).getFileHandle(name, { create: true }), bytes)
    },
    remove: async (name) => {
      const own = await folder().catch(unlessMissing)
      await own?.removeEntry(name).catch(unlessMissing)
    },
    bytes: async () => (await all()).reduce((sum, [, { size }]) => sum + size, 0),
  }
}

/** Replaces a file. A new one is empty until its bytes are there. */
async function replace(file: WebFile, bytes: Uint8Array) {
  const stream = await file.createWritable()
  try {
    await stream.write(bytes)
    await stream.close()
  } catch (error) {
    await stream.abort().catch(() => undefined) // the first error counts
    throw error
  }
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof Error && error.name === 'NotFoundError') return undefined
  throw error
}
