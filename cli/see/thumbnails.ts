// Small pictures of images: of their files, where they have any, else of the pixels of the set.

import sharp from 'sharp'
import { imageBytes } from '../../data/dataset.ts'
import { decodeImage } from '../../data/decode-image.ts'
import { readBytes } from '../../engine/node-files.ts'
import type { Pictures } from './pictures.ts'

const SIDE = 160 // pixels
const TINY = 64 // up to here every pixel counts

/** Returns an image's middle square as a data URL, of 160 pixels at most. */
export async function thumbnail({ set, paths }: Pictures, i: number): Promise<string> {
  const path = paths?.[i]
  const file = path === undefined ? null : await fromFile(path).catch(() => null)
  const { pixels, side } = file ?? (await fromSet(set, i))
  const image = sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
  return side <= TINY
    ? urlOf('png', await image.png().toBuffer())
    : urlOf('webp', await image.webp({ quality: 78 }).toBuffer())
}

const urlOf = (kind: string, bytes: Buffer) =>
  `data:image/${kind};base64,${bytes.toString('base64')}`

async function fromFile(path: string) {
  const { pixels } = await decodeImage(await readBytes(path), { size: SIDE })
  return { pixels, side: SIDE }
}

/** Reads an image of a set, shrunk to the largest side of a thumbnail. */
async function fromSet(set: Pictures['set'], i: number) {
  const side = Math.min(SIDE, set.image.height, set.image.width)
  return { pixels: await squares(set, [i], side), side }
}

/** Reads images of a set as squares of `side` pixels, one after the other. */
export async function squares(
  set: Pictures['set'],
  indices: readonly number[],
  side: number,
): Promise<Uint8Array> {
  const { height, width } = set.image
  const stride = imageBytes(set)
  const whole = new Uint8Array(indices.length * stride)
  await set.read(indices, whole)
  if (height === side && width === side) return whole
  const out = new Uint8Array(indices.length * side * side * 3)
  for (const [n] of indices.entries()) {
    const raw = { width, height, channels: 3 } as const
    const pixels = whole.subarray(n * stride, (n + 1) * stride)
    const small = await sharp(pixels, { raw }).resize(side, side, { fit: 'cover' }).raw().toBuffer()
    out.set(small, n * side * side * 3)
  }
  return out
}
