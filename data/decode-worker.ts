// A worker thread that decodes images. It is a program of its own, so it does run on import.

import { parentPort } from 'node:worker_threads'
import sharp from 'sharp'
import type { Decoded, Job } from './decode-pool.ts'

sharp.concurrency(1)
sharp.cache(false)

parentPort?.on('message', (job: Job) => {
  void decode(job).then(
    (pixels) => reply({ id: job.id, pixels }, [pixels.buffer]),
    (error: unknown) => reply({ id: job.id, reason: reason(error) }),
  )
})

function reply(message: Decoded, transfer: ArrayBuffer[] = []) {
  parentPort?.postMessage(message, transfer)
}

/** u8 [size, size, 3]: the middle of the upright image on white, in sRGB. Rejects what is cut short. */
async function decode({ file, size }: Job): Promise<Uint8Array<ArrayBuffer>> {
  const pixels = await sharp(file, { failOn: 'error' })
    .autoOrient()
    .resize(size, size, { fit: 'cover', position: 'centre' })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer()
  if (pixels.length !== size * size * 3) throw new Error(`decodes to ${pixels.length} bytes`)
  return new Uint8Array(pixels)
}

/** The first line of what went wrong; libvips repeats itself on further lines. */
function reason(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return (message.split('\n')[0] ?? message).trim()
}
