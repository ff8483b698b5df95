// The training that this browser keeps, in the origin's private file system. A file is replaced as a
// whole when its writer is closed, so that a closed tab leaves the old one or the new one.

import { type SafetensorsFile, decodeSafetensors, encodeSafetensors } from 'kindred'

const FOLDER = 'kindred-photos'

/** The files of the kept training. */
export type KeptName = 'pictures' | 'training'

const fileName = (name: KeptName) => `${name}.safetensors`

const folder = async () =>
  (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true })

/** Reads a file that is kept, null if there is none. */
export async function readKept(name: KeptName): Promise<SafetensorsFile | null> {
  try {
    const handle = await (await folder()).getFileHandle(fileName(name))
    const file = await handle.getFile()
    return decodeSafetensors(new Uint8Array(await file.arrayBuffer()), `the kept ${name}`)
  } catch (error) {
    if (error instanceof DOMException) return null // no such file, or no such storage
    throw error
  }
}

/** Replaces a file that is kept. Resolves to its bytes. */
export async function writeKept(name: KeptName, content: SafetensorsFile): Promise<number> {
  const bytes = encodeSafetensors(content)
  const handle = await (await folder()).getFileHandle(fileName(name), { create: true })
  const writer = await handle.createWritable()
  await writer.write(bytes)
  await writer.close()
  return bytes.length
}

/** Deletes what is kept. */
export async function deleteKept(...names: readonly KeptName[]): Promise<void> {
  const place = await folder()
  for (const name of names)
    await place.removeEntry(fileName(name)).catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error
    })
}

let owned: Promise<boolean> | null = null

/** Claims the storage for this tab, as long as it lives. Resolves to false if another tab has it. */
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
