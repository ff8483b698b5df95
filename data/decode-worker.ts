// Worker thread that decodes images. It is a program of its own: importing it runs it.

import { readFile } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import sharp from 'sharp'
import { reasonOf } from '../kernels/reason-of.ts'
import { decodeImage } from './decode-image.ts'
import type { Decoded, Job, Picture } from './decode-pool.ts'
import { troubleOf } from './paths.ts'

sharp.concurrency(1)
sharp.cache(false)

parentPort?.on('message', (job: Job) => {
  void decode(job).then(
    (picture) => reply({ id: job.id, ...picture }, [picture.pixels.buffer]),
    (error: unknown) => reply({ id: job.id, reason: reasonOf(error) }),
  )
})

function reply(message: Decoded, transfer: ArrayBuffer[] = []) {
  parentPort?.postMessage(message, transfer)
}

/** Decodes a file. Throws Error with the reason in words. */
async function decode({ file, ...sizes }: Job): Promise<Picture> {
  const bytes = await readFile(file).catch(async (cause: unknown) => {
    throw new Error(await troubleOf(cause, file), { cause })
  })
  return decodeImage(bytes, sizes)
}
