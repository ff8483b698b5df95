// kindred curate: near duplicates, outliers, and the images most worth a label.

import { stat } from 'node:fs/promises'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { kCentre } from '../../evaluate/curate/k-centre.ts'
import { mostTypical } from '../../evaluate/curate/most-typical.ts'
import { nearDuplicates } from '../../evaluate/curate/near-duplicates.ts'
import { outliers } from '../../evaluate/curate/outliers.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import { UsageError, choose } from '../../training/choice.ts'
import type { Progress } from '../../training/progress.ts'
import { type CuratedGroup, type Curated, publish } from './curated.ts'
import { copiesAmong } from './copies.ts'
import { featuresSeen, onSeenGpu } from './features.ts'
import { placesOfList } from './labelled-list.ts'
import { checkNewFolder } from './links.ts'
import { noted, pairsCompared } from './noted.ts'
import { checkFree, leaveClean } from './out-file.ts'
import {
  type PictureFlags,
  type Pictures,
  notes,
  openPictures,
  openSeen,
  seenOf,
} from './pictures.ts'

/** Options of the commands of kindred curate. */
export interface CurateFlags extends PictureFlags {
  readonly html?: string
  /** Folder of links to make. */
  readonly link?: string
  /** Ends each path with a NUL. */
  readonly null?: boolean
  readonly threshold?: number
  readonly omitFirst?: boolean
  readonly top?: number
  readonly k?: number
  readonly method?: string
  /** File of paths that have labels already. */
  readonly labelled?: string
  readonly seed?: number
}

/** How well the pixels of copies agree, at least. docs/curation.md shows how it was chosen. */
const AGREE = 0.975
const FEW = 50 // labels up to which typical images teach most

/** What a command works on. */
interface Seen {
  readonly gpu: Gpu
  readonly rows: Embeddings
  readonly pictures: Pictures
  readonly progress: Progress
}

/** Lists groups of near duplicates, and returns the exit code. Throws Error in words. */
export const curateDuplicates = (run: string, flags: CurateFlags): Promise<number> =>
  curated('duplicates', run, flags, async (seen) => {
    const { threshold = null, omitFirst = false } = flags
    const by = threshold === null ? 'agreement' : 'cosine'
    const { pairs, values, groups } =
      threshold === null
        ? await copiesAmong(seen.gpu, seen.rows, seen.pictures, { ...seen, least: AGREE })
        : await byCosine(seen, threshold)
    const found: CuratedGroup[] = []
    for (const { places, ...group } of groupsOf(by, pairs, values, groups))
      found.push({ ...group, places: await largestFirst(places, seen.pictures) })
    const copies = found.reduce((sum, { places }) => sum + places.length, 0)
    const from = `${by} ${threshold ?? AGREE}`
    return {
      title: 'Near duplicates',
      summary:
        `${counted(found.length, 'group')} of near duplicates, ${copies} of ` +
        `${counted(seen.rows.M, 'image')}, from ${from} on`,
      detail: { by, threshold: threshold ?? AGREE, pairs: values.length },
      groups: found,
      listed: found.map(({ places }) => (omitFirst ? places.slice(1) : places)),
      apart: true,
    }
  })

/** Sorts images by the bytes of their files, the largest first, as a copy that was saved again or
 *  made smaller mostly has fewer. Images without files, and equals, keep their order. */
async function largestFirst(places: readonly number[], { paths }: Pictures): Promise<number[]> {
  const sized = places.map(async (i) => ({ i, bytes: await bytesOf(paths?.[i]) }))
  return (await Promise.all(sized)).sort((a, b) => b.bytes - a.bytes).map(({ i }) => i)
}

const bytesOf = async (path: string | undefined) =>
  path === undefined
    ? 0
    : stat(path).then(
        ({ size }) => size,
        () => 0,
      )

async function byCosine({ gpu, rows, progress }: Seen, threshold: number) {
  const onProgress = noted(progress, pairsCompared)
  const how = { threshold, gpu, onProgress }
  const { pairs, cosines, groups } = await nearDuplicates(rows, how)
  return { pairs, values: cosines, groups }
}

/** The groups of two and more images, in the order of their lowest index, with the lowest value of
 *  their pairs. */
function groupsOf(
  by: string,
  pairs: Uint32Array,
  values: ArrayLike<number>,
  groups: Uint32Array,
): CuratedGroup[] {
  const members = new Map<number, number[]>()
  for (const [m, first] of groups.entries()) {
    const own = members.get(first)
    if (own) own.push(m)
    else members.set(first, [m])
  }
  const least = new Map<number, number>()
  for (let p = 0; p < values.length; p++) {
    const group = groups[pairs[2 * p] ?? 0] ?? 0
    least.set(group, Math.min(least.get(group) ?? 1, values[p] ?? NaN))
  }
  const many = [...members].filter(([, places]) => places.length > 1)
  return many.map(([first, places], g) => {
    const value = least.get(first) ?? NaN
    const title = `Group ${g + 1}: ${counted(places.length, 'image')}`
    return { title, note: `${by} ${value.toFixed(4)} at least`, figures: { [by]: value }, places }
  })
}

/** Lists the images least like all others, and returns the exit code. Throws Error in words. */
export const curateOutliers = (run: string, flags: CurateFlags): Promise<number> =>
  curated('outliers', run, flags, async ({ gpu, rows, progress }) => {
    const { k = 10, top = 20 } = flags
    if (rows.M < 2)
      throw new UsageError(`curate outliers: needs at least 2 images, got ${rows.M}; add images`)
    progress.note(`finding the nearest of ${counted(rows.M, 'image')}`)
    const onProgress = noted(progress, pairsCompared)
    const { scores, order } = await outliers(rows, { k, gpu, onProgress })
    const places = Array.from(order.subarray(0, top))
    const near = Math.min(k, rows.M - 1)
    return {
      title: 'Outliers',
      summary: `the ${places.length} of ${counted(rows.M, 'image')} farthest from their ${counted(near, 'nearest other', 'nearest others')}`,
      detail: { k: near },
      groups: [
        {
          title: 'Most unlike first',
          figures: {},
          places,
          scores: places.map((m) => scores[m] ?? NaN),
        },
      ],
      listed: [places],
      apart: false,
    }
  })

const methods = ['k-centre', 'typical'] as const

/** Lists the n images most worth a label, and returns the exit code. Throws Error in words. */
export const curateSelection = (n: number, run: string, flags: CurateFlags): Promise<number> =>
  curated('select', run, flags, async ({ gpu, rows, pictures }) => {
    const method = choose('--method', flags.method, methods) ?? (n <= FEW ? 'typical' : 'k-centre')
    const initial = flags.labelled === undefined ? [] : await placesOfList(flags.labelled, pictures)
    const left = rows.M - initial.length
    if (n > left)
      throw new UsageError(
        `curate select: the number must be at most the ${counted(left, 'image')} without a label, got ${n}`,
      )
    const given = { picks: n, initial: Uint32Array.from(initial) }
    const { order, radius } =
      method === 'typical'
        ? { ...(await mostTypical(rows, { ...given, seed: flags.seed ?? 0, gpu })), radius: null }
        : kCentre(rows, given)
    const places = Array.from(order)
    return {
      title: 'Worth a label',
      summary: `${counted(n, 'image')} of ${rows.M} chosen by ${method}`,
      detail: { method, labelled: initial.length },
      groups: [
        {
          ...{ title: 'In the order of choice', figures: {}, places },
          ...(radius && { scores: Array.from(radius) }),
        },
      ],
      listed: [places],
      apart: false,
    }
  })

/** Opens encoder and images, finds with `find`, and prints what it found. */
async function curated(
  name: string,
  run: string,
  flags: CurateFlags,
  find: (seen: Seen) => Promise<Curated>,
): Promise<number> {
  leaveClean()
  choose('--method', flags.method, methods)
  if (flags.html !== undefined) await checkFree('--html', flags.html, flags.force)
  if (flags.link !== undefined) await checkNewFolder(flags.link)
  const saved = await openSeen(run, flags)
  const progress = notes()
  const pictures = await openPictures(run, saved, flags, progress)
  try {
    if (flags.link !== undefined && !pictures.paths)
      throw new UsageError(
        `--link: the images of ${pictures.set.name} have no files to link to; leave it out`,
      )
    const found = await onSeenGpu(saved, flags, async (gpu) => {
      const command = `curate ${name}`
      const rows = await featuresSeen(gpu, saved, pictures.set, progress, { command })
      return find({ gpu, rows, pictures, progress })
    })
    await publish(found, { pictures, flags, progress, about: seenOf(run, saved) })
    return 0
  } finally {
    await pictures.close()
  }
}
