// What kindred curate found, as a list of paths, as JSON, as a gallery and as links.

import { printable } from '../../kernels/printable.ts'
import type { Progress } from '../../training/progress.ts'
import { type GalleryCard, type GallerySection, galleryPage } from '../gallery-page.ts'
import { jsonLine } from '../output.ts'
import { makeLinks } from './links.ts'
import { writeNew } from './out-file.ts'
import { type Pictures, classOf, told } from './pictures.ts'
import { thumbnail } from './thumbnails.ts'

/** Images that belong together. */
export interface CuratedGroup {
  readonly title: string
  readonly note?: string
  /** Numbers of the group, for JSON. */
  readonly figures: Readonly<Record<string, number>>
  /** Indices of its images, in order. */
  readonly places: readonly number[]
  /** A score of each. */
  readonly scores?: readonly number[]
}

/** What was found. */
export interface Curated {
  readonly title: string
  /** In a line. */
  readonly summary: string
  /** What a note says beside it. */
  readonly hint?: string
  /** What else JSON says. */
  readonly detail: object
  readonly groups: readonly CuratedGroup[]
  /** Indices to list, group by group. */
  readonly listed: readonly (readonly number[])[]
  /** True where groups stand apart: lists have an empty line between, links a folder each. */
  readonly apart: boolean
}

interface Publishing {
  readonly pictures: Pictures
  readonly progress: Progress
  readonly about: object
  readonly flags: {
    readonly html?: string
    readonly link?: string
    readonly null?: boolean
    readonly json?: boolean
    readonly force?: boolean
  }
}

/** Makes the gallery and the links that were asked for, then prints the list, or JSON. */
export async function publish(found: Curated, { pictures, flags, progress, about }: Publishing) {
  const { html, link, force = false, json = false } = flags
  if (html !== undefined) {
    const page = new TextEncoder().encode(await galleryOf(found, pictures))
    await writeNew('--html', html, [page], force)
    progress.note(`the gallery is ${printable(html)}`)
  }
  const linked = link !== undefined && (await makeLinks(link, found, pictures))
  if (link !== undefined)
    progress.note(
      linked
        ? `the links are in ${printable(link)}`
        : `nothing to link: ${printable(link)} was not made`,
    )
  if (!json) {
    progress.note(found.hint === undefined ? found.summary : `${found.summary}; ${found.hint}`)
    process.stdout.write(listText(found, pictures, flags.null ?? false))
    return
  }
  const groups = found.groups.map(({ places, scores, figures }) => ({
    ...figures,
    images: places.map((i, n) => ({ ...told(pictures, i), ...(scores && { score: scores[n] }) })),
  }))
  const result = { ...found.detail, ...(found.apart ? { groups } : groups[0]) }
  const files = {
    html: html ?? null,
    link: linked ? link : null,
    skippedFiles: pictures.skippedFiles,
  }
  process.stdout.write(
    `${jsonLine({ ...about, images: pictures.set.size, ...files, found: result })}\n`,
  )
}

/** Writes the paths, each with its end. A terminal gets control characters as their codes. */
function listText({ listed, apart }: Curated, { names }: Pictures, nul: boolean): string {
  const end = nul ? '\0' : '\n'
  const shown = process.stdout.isTTY ? printable : (name: string) => name
  return listed
    .filter((places) => places.length > 0)
    .map((places) => places.map((i) => shown(names[i] ?? '') + end).join(''))
    .join(apart ? end : '')
}

const GROUPS = 200 // in a gallery
const CARDS = 600 // in a gallery

/** Makes the page of the first groups, of up to 600 images. */
async function galleryOf({ title, summary, groups, apart }: Curated, pictures: Pictures) {
  const sections: GallerySection[] = []
  let room = CARDS
  for (const group of groups.slice(0, GROUPS)) {
    if (room <= 0) break
    const places = group.places.slice(0, room)
    room -= places.length
    const cards: GalleryCard[] = []
    for (const [n, i] of places.entries())
      cards.push({
        src: await thumbnail(pictures, i),
        ...{ name: pictures.names[i] ?? '', label: classOf(pictures, i) },
        ...(!apart && { rank: n + 1 }),
        ...(group.scores && Number.isFinite(group.scores[n])
          ? { figure: (group.scores[n] ?? NaN).toFixed(3) }
          : {}),
      })
    const more = group.places.length - places.length
    const note = [group.note ?? '', more > 0 ? `and ${more} more` : ''].filter(Boolean).join(', ')
    sections.push({ title: group.title, ...(note !== '' && { note }), cards })
  }
  const left = groups.length - sections.length
  const about = [
    `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`,
    ...(left > 0 ? [`${left} more groups are not shown.`] : []),
  ]
  return galleryPage({ title, about, sections })
}
