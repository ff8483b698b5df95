// kindred search: the images that are nearest to given ones, as a list and as a gallery.

import { counted } from '../../data/words.ts'
import { type Nearest, nearest } from '../../evaluate/nearest.ts'
import { printable } from '../../kernels/printable.ts'
import { testSide } from '../../kernels/augment/recipes.ts'
import { type GalleryCard, type GallerySection, galleryPage } from '../gallery-page.ts'
import { jsonLine } from '../output.ts'
import { featuresSeen, onSeenGpu } from './features.ts'
import { checkSome, openFiles, picturesSeen } from './named-files.ts'
import { type Near, nearestLines } from './nearest-list.ts'
import { checkFree, leaveClean, writeNew } from './out-file.ts'
import {
  type PictureFlags,
  type Pictures,
  classOf,
  notes,
  openPictures,
  openSeen,
  realOf,
  seenOf,
  told,
} from './pictures.ts'
import { thumbnail } from './thumbnails.ts'

/** Options of kindred search. */
export interface SearchFlags extends PictureFlags {
  readonly k?: number
  readonly html?: string
}

/** Prints the nearest images of the run's set to each given one, and returns the exit code. Throws
 *  Error in words. */
export async function searchImages(
  run: string,
  images: readonly string[],
  flags: SearchFlags,
): Promise<number> {
  const { k = 10, html, force = false, json = false } = flags
  leaveClean()
  if (html !== undefined) await checkFree('--html', html, force)
  const saved = await openSeen(run, flags)
  const progress = notes()
  const side = testSide(saved.config.size)
  const given = await openFiles(images, side)
  await checkSome(images, side)
  const pictures = await openPictures(run, saved, flags, progress)
  try {
    const { asked, found } = await onSeenGpu(saved, flags, async (gpu) => {
      const options = { command: 'search' }
      const { pictures: read, rows } = await picturesSeen(gpu, saved, given, progress, options)
      const all = await featuresSeen(gpu, saved, pictures.set, progress, options)
      const near = await nearest(all, rows, k + 1, { gpu, normalized: true })
      return { asked: read, found: nearLists(near) }
    })
    const lists = await withoutSelves(found, asked, pictures, k)
    if (html !== undefined) {
      await writeGallery(html, { run, asked, pictures, lists, force })
      progress.note(`the gallery is ${printable(html)}`)
    }
    const seen = { ...seenOf(run, saved), html: html ?? null }
    process.stdout.write(
      json
        ? `${jsonLine({ ...seen, ...asJson(asked, pictures, lists) })}\n`
        : nearestLines(asked, pictures, lists),
    )
    return 0
  } finally {
    await pictures.close()
  }
}

/** The lists of each query. */
const nearLists = ({ indices, similarities, k }: Nearest): Near[][] =>
  Array.from({ length: indices.length / k }, (_, q) =>
    Array.from({ length: k }, (__, j) => ({
      i: indices[q * k + j] ?? 0,
      cosine: similarities[q * k + j] ?? NaN,
    })),
  )

const asJson = (asked: Pictures, pictures: Pictures, lists: readonly (readonly Near[])[]) => ({
  images: pictures.set.size,
  skippedFiles: asked.skippedFiles + pictures.skippedFiles,
  results: lists.map((list, q) => ({
    image: asked.names[q] ?? '',
    nearest: list.map(({ i, cosine }) => ({ ...told(pictures, i), cosine })),
  })),
})

/** Leaves each image out of its own list, if it is in the set that is searched. */
async function withoutSelves(
  found: readonly (readonly Near[])[],
  asked: Pictures,
  { paths }: Pictures,
  k: number,
): Promise<Near[][]> {
  return Promise.all(
    found.map(async (list, q) => {
      const own = await realOf(asked.paths?.[q] ?? 'none')
      const reals = await Promise.all(list.map(({ i }) => realOf(paths?.[i] ?? '')))
      return list.filter((_, j) => reals[j] !== own).slice(0, k)
    }),
  )
}

interface Result {
  readonly run: string
  readonly asked: Pictures
  readonly pictures: Pictures
  readonly lists: readonly (readonly Near[])[]
  readonly force: boolean
}

async function writeGallery(html: string, { run, asked, pictures, lists, force }: Result) {
  const sections: GallerySection[] = []
  for (const [q, list] of lists.entries()) {
    const first: GalleryCard = {
      src: await thumbnail(asked, q),
      name: asked.names[q] ?? '',
      mark: 'searched for',
    }
    const cards = await Promise.all(
      list.map(async ({ i, cosine }, j): Promise<GalleryCard> => ({
        src: await thumbnail(pictures, i),
        name: pictures.names[i] ?? '',
        ...{ label: classOf(pictures, i), figure: cosine.toFixed(3), rank: j + 1 },
      })),
    )
    sections.push({ title: asked.names[q] ?? '', cards: [first, ...cards] })
  }
  const page = galleryPage({
    title: 'Nearest images',
    about: [
      `The nearest of ${counted(pictures.set.size, 'image')} to ${counted(lists.length, 'image')}, ` +
        `seen by the encoder of ${run}. The number is the cosine: 1 for an equal image.`,
    ],
    sections,
  })
  await writeNew('--html', html, [new TextEncoder().encode(page)], force)
}
