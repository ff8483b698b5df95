// A worker thread that decodes images. It is a program of its own, so it does run on import.

import { readFile } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import sharp, { type Sharp } from 'sharp'
import { decodeBmp } from './bmp.ts'
import type { Decoded, Job } from './decode-pool.ts'
import { type Format, damageOf, formatOf } from './image-format.ts'
import { troubleOf } from './paths.ts'

sharp.concurrency(1)
sharp.cache(false)

const MOST = 0x3fff ** 2 // pixels of an image, sharp's own limit

parentPort?.on('message', (job: Job) => {
  void decode(job).then(
    (pixels) => reply({ id: job.id, pixels }, [pixels.buffer]),
    (error: unknown) => reply({ id: job.id, reason: error instanceof Error ? error.message : String(error) }),
  )
})

function reply(message: Decoded, transfer: ArrayBuffer[] = []) {
  parentPort?.postMessage(message, transfer)
}

/** u8 [size, size, 3]: the middle of the upright image on white, in sRGB. Rejects what is cut short, in words that depend on
 *  the file alone: libvips keeps what its threads complain of in one place. */
async function decode({ file, size }: Job): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await readFile(file).catch(async (cause: unknown) => {
    throw new Error(await troubleOf(cause, file), { cause })
  })
  const format = formatOf(bytes)
  const image = opened(bytes, format)
  try {
    return await scaled(image, size)
  } catch (cause) {
    throw new Error((await tooLarge(bytes)) ?? damageOf(bytes, format), { cause })
  }
}

/** The image in bytes of that format. Throws Error in words for a BMP that cannot be read. */
function opened(bytes: Uint8Array, format: Format): Sharp {
  if (format !== 'BMP') return sharp(bytes, { failOn: 'error', limitInputPixels: MOST })
  try {
    const { data, ...raw } = decodeBmp(bytes)
    return sharp(data, { raw })
  } catch (cause) {
    if (cause instanceof RangeError) throw new Error(damageOf(bytes, format), { cause }) // read past the end
    throw cause
  }
}

async function scaled(image: Sharp, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const pixels = await image
    .autoOrient()
    .resize(size, size, { fit: 'cover', position: 'centre' })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer()
  if (pixels.length !== size * size * 3) throw new Error(`decodes to ${pixels.length} bytes`)
  return new Uint8Array(pixels)
}

/** Words about an image of more pixels than are decoded, else null. */
async function tooLarge(bytes: Uint8Array): Promise<string | null> {
  const found = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  if (!found || found.width * found.height <= MOST) return null
  return `is too large: ${found.width} x ${found.height} pixels, at most ${MOST} are read`
}
