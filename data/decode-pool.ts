// Decodes images in worker threads. A thread takes the next image when it has finished one.

import { type Abortable, unlessAborted } from '../kernels/abort.ts'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { DataError } from './dataset.ts'

export interface Job {
  readonly id: number
  readonly file: string
  /** Height and width of the square in pixels. */
  readonly size: number
  /** Bound of the whole image in pixels, as in DecodeOptions; 0 for no whole image. */
  readonly originals: number
}

/** A decoded image. */
export interface Picture {
  /** The square u8 [size, size, 3], then the whole image u8 [height, width, 3] where wanted. */
  readonly pixels: Uint8Array<ArrayBuffer>
  readonly height: number
  readonly width: number
}

/** A worker's answer: the image, or why there is none. */
export type Decoded =
  | ({ readonly id: number } & Picture)
  | { readonly id: number; readonly reason: string }

/** Options of decoding. */
export interface DecodeOptions extends Abortable {
  /** Height and width of the decoded squares in pixels. */
  readonly size: number
  /** Keeps each image whole too, for random crops. It is shrunk until its longer side has
   *  `originals` pixels or its shorter side half as many, whichever comes first. Ends beyond
   *  2 `originals` pixels are cut off. By default none is kept. */
  readonly originals?: number
  /** Number of threads; by default the number of cores, at most 8. */
  readonly workers?: number
  /** URL of the built decode-worker, where a bundler has moved it. */
  readonly worker?: URL
}

/** Decodes `files` and calls `take` with each result as it is finished; its id is the file's
 *  position. Ends the threads before the promise settles. Throws DataError when a thread fails, and
 *  the signal's reason when it is aborted. */
export async function decodeAll(
  files: readonly string[],
  {
    size,
    originals = 0,
    workers = Math.min(availableParallelism(), 8),
    worker = workerUrl(),
    signal,
  }: DecodeOptions,
  take: (result: Decoded) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted()
  const jobs = files.entries()
  const count = Math.max(1, Math.min(workers, files.length))
  const threads = Array.from({ length: count }, () => new Worker(worker))
  try {
    const draining = threads.map((thread) => drain(thread, jobs, { size, originals }, take))
    await unlessAborted(signal, Promise.all(draining))
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
}

/** Feeds one thread until no jobs are left. */
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
  failed.catch(() => undefined) // it also rejects when the thread is terminated at the end
  for (let next = jobs.next(); !next.done; next = jobs.next()) {
    const [id, file] = next.value
    const answered = new Promise<Decoded>((resolve) => thread.once('message', resolve))
    thread.postMessage({ id, file, ...sizes } satisfies Job, [])
    await take(await Promise.race([answered, failed]))
  }
}

/** Paths of decode-worker relative to this module, in the bundles that may hold it. */
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
      `folder: the decoder's program is missing, looked for ${places.join(', ')} beside the package's ` +
        `own files; build again, or pass its URL as 'worker'`,
    )
  return url
}
