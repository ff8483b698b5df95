// Copies among images: the nearest of each by the encoder, kept where their pixels agree. Even a
// weak encoder has a copy among the nearest; its cosines alone do not tell copies from images that
// are alike (docs/curation.md has the figures).

import sharp from 'sharp'
import { decodeImage } from '../../data/decode-image.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { readBytes } from '../../engine/node-files.ts'
import { GREY_SIDE, type GreyPicture, greyPicture } from '../../evaluate/curate/agreement.ts'
import { copyAgreement } from '../../evaluate/curate/copy.ts'
import { connectedBy } from '../../evaluate/curate/near-duplicates.ts'
import { nearestOthers } from '../../evaluate/curate/neighbour-distances.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import type { Progress } from '../../training/progress.ts'
import { noted, pairsCompared } from './noted.ts'
import type { Pictures } from './pictures.ts'
import { squares } from './thumbnails.ts'

const NEAR = 20 // nearest images of each that are looked at
const AT_ONCE = 64 // images decoded at a time
const BYTES = GREY_SIDE ** 2
const KEPT = 2000 // pictures that are kept prepared, of 60 kB each

/** Pairs of copies among M images. */
export interface Copies {
  /** [P, 2], pairs i < j of indices. */
  readonly pairs: Uint32Array
  /** [P], how well the pixels of each agree, up to 1. */
  readonly values: Float64Array
  /** [M], the lowest index of each image's group. */
  readonly groups: Uint32Array
}

/** Finds copies: pairs among each image's 20 nearest whose grey pixels are equal, or agree by
 *  `least` and in what is fine. It holds 2,304 bytes of each image beside the features. */
export async function copiesAmong(
  gpu: Gpu,
  rows: Embeddings,
  pictures: Pictures,
  { least, progress }: { readonly least: number; readonly progress: Progress },
): Promise<Copies> {
  const { M } = rows
  const { grey, sides } = await greyOf(pictures, progress)
  progress.note(`finding the nearest of ${counted(M, 'image')}`)
  const near = await nearestOthers(gpu, rows, NEAR, { onProgress: noted(progress, pairsCompared) })
  const prepared = kept(KEPT, (i) =>
    greyPicture(grey.subarray(i * BYTES, i * BYTES + (sides[i] ?? 0) ** 2)),
  )
  const found: { readonly i: number; readonly j: number; readonly value: number }[] = []
  const images = counted(M, 'image')
  const note = noted(progress, (so) => `compared the pixels of ${so.done} of ${images}`)
  for (let i = 0; i < M; i++) {
    let own: GreyPicture | null = null
    for (let n = i * near.k; n < (i + 1) * near.k; n++) {
      const j = near.indices[n] ?? 0
      const theirs = near.indices.subarray(j * near.k, (j + 1) * near.k)
      if (j < i && theirs.includes(i)) continue // it was compared from there
      own ??= prepared(i)
      const value = copyAgreement(own, prepared(j), least)
      if (value !== null) found.push({ i: Math.min(i, j), j: Math.max(i, j), value })
    }
    if (note({ done: i + 1, total: M })) await new Promise(setImmediate) // Ctrl-C
  }
  found.sort((a, b) => a.i - b.i || a.j - b.j)
  return {
    pairs: Uint32Array.from(found.flatMap(({ i, j }) => [i, j])),
    values: Float64Array.from(found, ({ value }) => value),
    groups: connectedBy(M, found),
  }
}

/** Returns a function that calls another, and keeps the results that were asked for last. */
function kept<T>(most: number, make: (i: number) => T): (i: number) => T {
  const results = new Map<number, T>() // that asked for last is last
  return (i) => {
    const result = results.get(i) ?? make(i)
    results.delete(i)
    results.set(i, result)
    const [oldest] = results.size > most ? results.keys() : []
    if (oldest !== undefined) results.delete(oldest)
    return result
  }
}

/** Reads all images whole, in grey, stretched to squares: of image i the first `sides[i]` squared
 *  of the 2,304 bytes from 2,304 i on. Small ones are not enlarged. */
async function greyOf(pictures: Pictures, progress: Progress) {
  const { size } = pictures.set
  const images = counted(size, 'image')
  progress.note(`reading ${images} in grey`)
  const note = noted(progress, (so) => `read ${so.done} of ${images} in grey`)
  const grey = new Uint8Array(size * BYTES)
  const sides = new Uint8Array(size)
  for (let start = 0; start < size; start += AT_ONCE) {
    const places = Array.from({ length: Math.min(AT_ONCE, size - start) }, (_, n) => start + n)
    const some = await Promise.all(places.map((i) => greyPixels(pictures, i)))
    for (const [n, { pixels, side }] of some.entries()) {
      grey.set(pixels, (start + n) * BYTES)
      sides[start + n] = side
    }
    note({ done: start + some.length, total: size })
  }
  return { grey, sides }
}

/** Resolves to the grey pixels of an image, and the side of their square. */
async function greyPixels({ set, paths }: Pictures, i: number) {
  const whole = await wholeImage(paths?.[i]).catch(() => null)
  const { height, width } = whole ?? set.image
  const side = Math.min(width, height, GREY_SIDE)
  const pixels = whole?.pixels ?? (await squares(set, [i], width))
  const grey = await sharp(pixels, { raw: { width, height: whole ? height : width, channels: 3 } })
    .resize(side, side, { fit: 'fill' })
    .toColourspace('b-w')
    .raw()
    .toBuffer()
  return { pixels: grey, side }
}

/** Decodes the whole image of a file, at about twice the size that is compared. */
async function wholeImage(path: string | undefined) {
  if (path === undefined) return null
  const { pixels, height, width } = await decodeImage(await readBytes(path), {
    ...{ size: 1, originals: 2 * GREY_SIDE },
  })
  return { pixels: pixels.subarray(3), height, width } // behind the square of one pixel
}
