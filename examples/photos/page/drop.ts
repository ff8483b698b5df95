// Takes files from a drop, folders and what is in them included, and from the pickers.

import type { GivenFile } from '../common/api.ts'

/** Names of pictures. Other files of a folder are passed over without a word. */
const picture = /\.(?:jpe?g|jfif|png|webp|avif|gif|bmp|hei[cf]|svg|tiff?)$/i
const isPicture = ({ name, type }: File) => picture.test(name) || type.startsWith('image/')
const order = new Intl.Collator('en', { numeric: true })
const isHidden = (path: string) => path.split('/').some((part) => part.startsWith('.'))

/** The pictures among files in the order of their paths, each with a path of its own. */
export function picturesAmong(files: readonly GivenFile[]): GivenFile[] {
  const pictures = files
    .filter(({ path, file }) => !isHidden(path) && isPicture(file))
    .sort((a, b) => order.compare(a.path, b.path))
  const taken = new Set<string>()
  return pictures.map(({ path, file }) => {
    let own = path
    for (let n = 2; taken.has(own); n++) own = `${path} (${n})`
    taken.add(own)
    return { path: own, file }
  })
}

/** The files of a picker. */
export const filesOf = ({ files }: HTMLInputElement): GivenFile[] =>
  [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }))

/** The files of a drop. Call it before the event has ended: it asks for all entries at once. */
export function filesIn({ items, files }: DataTransfer): Promise<GivenFile[]> {
  const entries = [...items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null)
  if (entries.length === 0)
    return Promise.resolve([...files].map((file) => ({ path: file.name, file })))
  return walked(entries)
}

async function walked(entries: readonly FileSystemEntry[]): Promise<GivenFile[]> {
  const found: GivenFile[] = []
  for (const entry of entries)
    if (entry.isDirectory) {
      const { length } = found
      const inside = await walked(await childrenOf(entry as FileSystemDirectoryEntry))
      found.splice(length, 0, ...inside)
    } else {
      const file = await fileOf(entry as FileSystemFileEntry)
      if (file) found.push({ path: entry.fullPath.replace(/^\//, ''), file })
    }
  return found
}

/** Reads a folder to its end: a reader gives up to 100 entries at a time. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const all: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve) => {
      reader.readEntries(resolve, () => resolve([])) // a folder that may not be read is empty
    })
    if (some.length === 0) return all
    for (const entry of some) all.push(entry)
  }
}

const fileOf = (entry: FileSystemFileEntry): Promise<File | null> =>
  new Promise((resolve) => {
    entry.file(resolve, () => resolve(null))
  })
