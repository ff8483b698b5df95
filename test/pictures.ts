// Folders of small pictures for tests, opened with a cache of their own.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../data/dataset.ts'
import { type FolderOptions, openImageFolder } from '../data/image-folder.ts'

/** A suite each of whose tests has a folder for pictures and a path for a cache, removed after it. */
export function pictureSuite(name: string) {
  const test = suite<{ folder: string; cache: string }>(name)
  test.before.each(async (context) => {
    const base = await mkdtemp(join(tmpdir(), 'kindred-folder-'))
    context.folder = join(base, 'photos')
    context.cache = join(base, 'cache')
    await mkdir(context.folder)
  })
  test.after.each(({ folder }) => rm(dirname(folder), { recursive: true }))
  return test
}

export type Colour = readonly [number, number, number]

/** Writes an image of one colour, in the format of the path's extension. */
export async function picture(path: string, [r, g, b]: Colour = [200, 100, 50], width = 20, height = 12) {
  await mkdir(dirname(path), { recursive: true })
  await sharp({ create: { width, height, channels: 3, background: { r, g, b } } })
    .toFormat(
      path.toLowerCase().endsWith('png') ? 'png' : path.toLowerCase().endsWith('webp') ? 'webp' : 'jpeg',
    )
    .toFile(path)
}

export async function pixels(set: Dataset): Promise<Uint8Array> {
  const out = new Uint8Array(set.size * set.image.height * set.image.width * 3)
  await set.read(
    Array.from({ length: set.size }, (_, i) => i),
    out,
  )
  return out
}

/** Opens with one thread, and counts what is decoded. */
export async function opened(folder: string, options: Partial<FolderOptions> & { cache: string }) {
  let decoded = 0
  const notices: string[] = []
  const split = await openImageFolder(folder, {
    size: 8,
    workers: 1,
    onProgress: ({ total }) => (decoded = total),
    onNotice: (notice) => notices.push(notice),
    ...options,
  })
  return { ...split, decoded, notices }
}

/** Asserts that a pixel is the colour, as far as JPEG keeps it. */
export function near(pixel: Uint8Array, colour: Colour) {
  colour.forEach((value, c) =>
    assert.ok(
      Math.abs((pixel[c] ?? -1) - value) <= 4,
      `[${pixel.subarray(0, 3).join()}] is not [${colour.join()}]`,
    ),
  )
}
