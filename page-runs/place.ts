// Where a page keeps runs: each has a few files, and each file is replaced whole or not at all.

/** The kinds of places. */
export const placeKinds = ['opfs', 'indexed-db'] as const
export type PlaceKind = (typeof placeKinds)[number]

/** The files of one run, by name. A killed page leaves the old file or the new one. */
export interface RunFiles {
  names(): Promise<readonly string[]>
  /** Resolves to a file's bytes, or null if there is none. */
  read(name: string): Promise<Uint8Array | null>
  /** Replaces a file. If it fails, the old one is left as it was. */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  remove(name: string): Promise<void>
  /** Resolves to the bytes that all files take. */
  bytes(): Promise<number>
}

/** A place for runs. */
export interface RunStore {
  readonly kind: PlaceKind
  /** Lists the runs that have files. */
  runs(): Promise<readonly string[]>
  files(run: string): RunFiles
  /** Removes all files of a run. */
  remove(run: string): Promise<void>
}
