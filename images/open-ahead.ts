// Opens pictures a little ahead of the one that is used, so that a browser decodes while the GPU
// resizes, and thousands of files never hold thousands of bitmaps.

import { untilAborted } from '../kernels/abort.ts'
import { openImage } from './decode-page-image.ts'
import {
  type PageImage,
  checkedPixels,
  checkedSize,
  wayOfImage,
  nameOfImage,
} from './page-image.ts'
import type { Readable } from './strips.ts'

/** A picture that can be read. `close` gives back what was decoded for it. */
export interface Opening {
  readonly name: string
  readonly index: number
  /** The picture as it was given. */
  readonly given: PageImage
  readonly picture: Readable
  readonly close: () => void
}

/** A picture that cannot be read. */
export interface Failed {
  readonly name: string
  readonly index: number
  readonly failure: unknown
}

const AHEAD = 2

/** Yields each picture opened, or why it is not. Whoever takes one closes it. */
export async function* openAhead(
  owner: string,
  pictures: Iterable<PageImage> | AsyncIterable<PageImage>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Opening | Failed> {
  const pending: Promise<Opening | Failed>[] = []
  let index = 0
  try {
    for await (const image of untilAborted(signal, pictures)) {
      pending.push(settled(owner, image, index++))
      if (pending.length > AHEAD) yield* next(pending)
    }
    while (pending.length > 0) yield* next(pending)
  } finally {
    for (const left of await Promise.all(pending)) if ('close' in left) left.close()
  }
}

async function* next(pending: Promise<Opening | Failed>[]) {
  const first = pending.shift()
  if (first) yield await first
}

/** Opens a picture. Never rejects, as nobody awaits it until its turn. */
async function settled(owner: string, image: PageImage, index: number): Promise<Opening | Failed> {
  let name = `picture ${index}`
  try {
    name = nameOfImage(image, index)
    return { name, index, given: image, ...(await opened(owner, name, image)) }
  } catch (failure) {
    return { name, index, failure }
  }
}

async function opened(owner: string, name: string, given: PageImage) {
  const way = wayOfImage(owner, given)
  if (way === 'raw') {
    const raw = given as Parameters<typeof checkedPixels>[1] // as its way says
    return { picture: checkedPixels(name, raw), close: () => {} }
  }
  const { image, close } = await openImage(name, given, way)
  const { width, height } = image
  checkedSize(name, { width, height })
  return { picture: { image, width, height }, close }
}
