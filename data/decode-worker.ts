// Worker thread that decodes images. It is a program of its own: importing it runs it.

import { readFile } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import sharp, { type ResizeOptions, type Sharp } from 'sharp'
import { decodeBmp } from './bmp.ts'
import type { Decoded, Job, Picture } from './decode-pool.ts'
import { type Format, damageOf, formatOf } from './image-format.ts'
import { troubleOf } from './paths.ts'

sharp.concurrency(1)
sharp.cache(false)

const MOST = 0x3fff ** 2 // pixels of an image, sharp's default limit

parentPort?.on('message', (job: Job) => {
  void decode(job).then(
    (picture) => reply({ id: job.id, ...picture }, [picture.pixels.buffer]),
    (error: unknown) =>
      reply({ id: job.id, reason: error instanceof Error ? error.message : String(error) }),
  )
})

function reply(message: Decoded, transfer: ArrayBuffer[] = []) {
  parentPort?.postMessage(message, transfer)
}

/** Decodes the middle square of the upright image, on white, in sRGB, and the whole image where
 *  wanted. Rejects images that are cut short. The reason depends on the file alone: libvips' own
 *  messages do not, because its threads share one buffer for them. */
async function decode({ file, size, originals }: Job): Promise<Picture> {
  const bytes = await readFile(file).catch(async (cause: unknown) => {
    throw new Error(await troubleOf(cause, file), { cause })
  })
  const format = formatOf(bytes)
  const image = opened(bytes, format)
  try {
    const square = await scaled(image.clone(), [size, size], { fit: 'cover' })
    if (square.info.width !== size || square.info.height !== size)
      throw new Error('has another size')
    if (originals === 0) return { pixels: new Uint8Array(square.data), height: size, width: size }
    const { data, info } = await whole(image, originals)
    const pixels = new Uint8Array(square.data.length + data.length)
    pixels.set(square.data)
    pixels.set(data, square.data.length)
    return { pixels, height: info.height, width: info.width }
  } catch (cause) {
    throw new Error((await tooLarge(bytes)) ?? damageOf(bytes, format), { cause })
  }
}

/** Opens an image of that format. Throws Error that says why a BMP cannot be read. */
function opened(bytes: Uint8Array, format: Format): Sharp {
  if (format !== 'BMP') return sharp(bytes, { failOn: 'error', limitInputPixels: MOST })
  try {
    const { data, ...raw } = decodeBmp(bytes)
    return sharp(data, { raw })
  } catch (cause) {
    // it was read past its end
    if (cause instanceof RangeError) throw new Error(damageOf(bytes, format), { cause })
    throw cause
  }
}

/** Shrinks the image, never enlarging it, until its longer side has `most` pixels or its shorter
 *  side half as many. Cuts the ends off where the longer side would have more than 2 `most`: the
 *  result has at most `most`^2 pixels. */
async function whole(image: Sharp, most: number) {
  const { width, height } = (await image.metadata()).autoOrient
  const [shorter, longer] = [Math.min(width, height), Math.max(width, height)]
  const half = Math.floor(most / 2)
  if (longer <= 2 * shorter || half === 0)
    return scaled(image.clone(), [most, most], { fit: 'inside', withoutEnlargement: true })
  const short = Math.min(shorter, half)
  const long = Math.min(2 * most, Math.round((longer * short) / shorter))
  return scaled(image.clone(), width > height ? [long, short] : [short, long], { fit: 'cover' })
}

async function scaled(
  image: Sharp,
  [width, height]: readonly [number, number],
  how: ResizeOptions,
) {
  const { data, info } = await image
    .autoOrient()
    .resize(width, height, { position: 'centre', ...how })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  if (data.length !== info.width * info.height * 3)
    throw new Error(`decodes to ${data.length} bytes`)
  return { data, info }
}

/** Says that the image has more pixels than are decoded; null when it has not. */
async function tooLarge(bytes: Uint8Array): Promise<string | null> {
  const found = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  if (!found || found.width * found.height <= MOST) return null
  return `is too large: ${found.width} x ${found.height} pixels, at most ${MOST} are read`
}
