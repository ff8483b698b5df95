// What pages and workers have for keeping files: the parts of it that runs use. lib.dom.d.ts
// declares all of it, but is not for Node.

/** A folder of the private file system (OPFS). */
export interface WebFolder {
  readonly kind: 'directory'
  getDirectoryHandle(name: string, options?: { readonly create?: boolean }): Promise<WebFolder>
  getFileHandle(name: string, options?: { readonly create?: boolean }): Promise<WebFile>
  removeEntry(name: string, options?: { readonly recursive?: boolean }): Promise<void>
  entries(): AsyncIterable<readonly [name: string, entry: WebFolder | WebFile]>
}

/** A file of it. */
export interface WebFile {
  readonly kind: 'file'
  getFile(): Promise<Blob>
  /** What is written replaces the file when the stream is closed. */
  createWritable(): Promise<{
    write(bytes: Uint8Array): Promise<void>
    close(): Promise<void>
    abort(): Promise<void>
  }>
}

interface Web {
  readonly storage?: {
    getDirectory?(): Promise<WebFolder>
    estimate?(): Promise<{ readonly usage?: number; readonly quota?: number }>
  }
  readonly locks?: {
    request<T>(
      name: string,
      options: { readonly ifAvailable: true },
      body: (lock: object | null) => Promise<T>,
    ): Promise<T>
    query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>
  }
}

/** The browser's `navigator`, {} where there is none. */
export const web = (): Web => (globalThis as { navigator?: Web }).navigator ?? {}
