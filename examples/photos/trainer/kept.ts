// The training that this browser keeps, in the origin's private file system: a file of the
// training, which names the file of its pictures. A file is replaced as a whole when its writer is
// closed, so that a closed tab leaves the old one or the new one.

const FOLDER = 'kindred-photos'
const ENDING = '.safetensors'
/** Name of the file of the training. */
export const TRAINING = 'training'

const folder = async () =>
  (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true })

/** Reads a file that is kept, null if there is none. Throws Error for one that cannot be read. */
export async function readKept(name: string): Promise<Uint8Array | null> {
  const file = await fileOf(name)
  if (!file || file.size === 0) return null // a first file whose writer was never closed is empty
  return new Uint8Array(await file.arrayBuffer())
}

async function fileOf(name: string): Promise<File | null> {
  if (!isSecureContext) return null // such a page has no storage
  try {
    const handle = await (await folder()).getFileHandle(name + ENDING)
    return await handle.getFile()
  } catch (error) {
    const isMissing =
      error instanceof DOMException && ['NotFoundError', 'SecurityError'].includes(error.name)
    if (isMissing) return null // no such file, or no such storage
    throw error
  }
}

/** Tells whether a file is kept. */
export const isKept = async (name: string): Promise<boolean> =>
  ((await fileOf(name))?.size ?? 0) > 0

/** Stores or replaces a file as a whole. Resolves to its bytes. When it fails, the old file
 *  stays. */
export async function writeKept(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<number> {
  const handle = await (await folder()).getFileHandle(name + ENDING, { create: true })
  const writer = await handle.createWritable()
  try {
    await writer.write(bytes)
    await writer.close()
  } catch (error) {
    await writer.abort().catch(() => {}) // it is closed already
    throw error
  }
  return bytes.length
}

/** Deletes the files that are kept, but for those of these names. */
export async function deleteKeptBut(...names: readonly string[]): Promise<void> {
  const place = await folder()
  const stay = names.map((name) => name + ENDING)
  const gone: string[] = []
  for await (const file of place.keys()) if (!stay.includes(file)) gone.push(file)
  gone.sort((a, b) => rank(a) - rank(b)) // the training first: without it, pictures are nothing
  for (const file of gone) await place.removeEntry(file)
}

const rank = (file: string) => (file === TRAINING + ENDING ? 0 : 1)

/** Deletes a file that is kept, if it is there. */
export async function deleteKept(name: string): Promise<void> {
  await (await folder()).removeEntry(name + ENDING).catch((error: unknown) => {
    if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error
  })
}

let owned: Promise<boolean> | null = null

/** Claims the storage for this tab, as long as it lives. Resolves to false if another tab has
 *  it. */
export const claimKept = (): Promise<boolean> =>
  (owned ??= new Promise((resolve, reject) => {
    navigator.locks
      .request(FOLDER, { ifAvailable: true }, (lock) => {
        resolve(lock !== null)
        if (lock === null) owned = null // asked again later
        return lock === null ? Promise.resolve() : new Promise<void>(() => {})
      })
      .catch(reject)
  }))
