// Worker threads that decode images, each taking the next as it finishes one.

import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { DataError } from './dataset.ts'

export interface Job {
  readonly id: number
  readonly file: string
  /** Height and width to decode to. */
  readonly size: number
  /** Pixels that bound the whole image, as in DecodeOptions; 0 for none. */
  readonly originals: number
}

/** An image: the square u8 [size, size, 3], then the whole u8 [height, width, 3], where that is
 *  wanted. */
export interface Picture {
  readonly pixels: Uint8Array<ArrayBuffer>
  readonly height: number
  readonly width: number
}

/** What a worker answers: the image, or why there is none. */
export type Decoded = ({ readonly id: number } & Picture) | { readonly id: number; readonly reason: string }

export interface DecodeOptions {
  readonly size: number
  /** Keeps each image whole too, for random crops, shrunk until its longer side has so many pixels
   *  or its shorter side half as many, whichever comes first. Ends beyond twice as many pixels are
   *  cut off. Not kept when not told. */
  readonly originals?: number
  /** Number of threads; as many as there are cores, and at most 8, when not told. */
  readonly workers?: number
  /** The built decode-worker, where a bundler has moved it. */
  readonly worker?: URL
}

/** Decodes `files`, and hands each result to `take` in the order that they finish, its id the file's position.
 *  The threads are gone when the promise settles. Throws DataError when a thread fails. */
export async function decodeAll(
  files: readonly string[],
  { size, originals = 0, workers = Math.min(availableParallelism(), 8), worker = workerUrl() }: DecodeOptions,
  take: (result: Decoded) => Promise<void>,
): Promise<void> {
  const jobs = files.entries()
  const count = Math.max(1, Math.min(workers, files.length))
  const threads = Array.from({ length: count }, () => new Worker(worker))
  try {
    await Promise.all(threads.map((thread) => drain(thread, jobs, { size, originals }, take)))
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
}

/** Feeds one thread until there are no more jobs. */
async function drain(
  thread: Worker,
  jobs: Iterator<[number, string]>,
  sizes: Pick<Job, 'size' | 'originals'>,
  take: (result: Decoded) => Promise<void>,
) {
  const failed = new Promise<never>((_, reject) => {
    thread.on('error', (cause) =>
      reject(new DataError(`folder: a decoding thread failed: ${String(cause)}`, { cause })),
    )
    thread.on('exit', () => reject(new DataError('folder: a decoding thread ended early')))
  })
  failed.catch(() => undefined) // also rejects when the thread is terminated in the end
  for (let next = jobs.next(); !next.done; next = jobs.next()) {
    const [id, file] = next.value
    const answered = new Promise<Decoded>((resolve) => thread.once('message', resolve))
    thread.postMessage({ id, file, ...sizes } satisfies Job, [])
    await take(await Promise.race([answered, failed]))
  }
}

/** Where decode-worker is, seen from this module, whichever bundle it has ended up in. */
const places = [
  './decode-worker.js',
  './data/decode-worker.js',
  '../data/decode-worker.js',
  './decode-worker.ts',
]

function workerUrl(): URL {
  const url = places
    .map((place) => new URL(place, import.meta.url))
    .find((place) => existsSync(fileURLToPath(place)))
  if (!url)
    throw new DataError(
      `folder: the decoder's program is missing, looked for ${places.join(', ')} beside the package's own files; ` +
        `build again, or pass its place as 'worker'`,
    )
  return url
}
