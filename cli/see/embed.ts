// kindred embed: the features of images as a file for other programs.

import { counted } from '../../data/words.ts'
import { printable } from '../../kernels/printable.ts'
import { testSide } from '../../kernels/augment/recipes.ts'
import { UsageError } from '../../training/choice.ts'
import { jsonLine } from '../output.ts'
import { checkOut, writeAll } from './embed-out.ts'
import type { NamedFeatures } from './feature-files.ts'
import { onSeenGpu } from './features.ts'
import { type MapKind, mapKind, mapOf } from './flat-map.ts'
import { openFiles, picturesSeen } from './named-files.ts'
import { leaveClean } from './out-file.ts'
import { type PictureFlags, notes, openPictures, openSeen, seenOf } from './pictures.ts'

/** Options of kindred embed. */
export interface EmbedFlags extends PictureFlags {
  readonly out: string
  readonly map?: string
  readonly seed?: number
  /** False leaves rows as long as the encoder makes them. */
  readonly unit?: boolean
}

/** Writes the features of images to a file, and returns the exit code. Throws Error in words. */
export async function embedImages(
  run: string,
  images: readonly string[],
  flags: EmbedFlags,
): Promise<number> {
  const { out, force = false, json = false, unit = true } = flags
  leaveClean()
  const map = mapKind(flags.map)
  if (images.length > 0 && flags.data !== undefined)
    throw new UsageError('--data: must be left out beside images, or the images left out')
  await checkOut(out, force)
  const saved = await openSeen(run, flags)
  const progress = notes()
  const opened =
    images.length > 0
      ? await openFiles(images, testSide(saved.config.size))
      : await openPictures(run, saved, flags, progress)
  try {
    const given = await onSeenGpu(saved, flags, async (gpu): Promise<NamedFeatures> => {
      const options = { unit, command: 'embed' }
      const { rows, pictures } = await picturesSeen(gpu, saved, opened, progress, options)
      if (map === 'umap') progress.note(`laying out ${counted(rows.M, 'image')} by UMAP`)
      const plane = map && (await mapOf(gpu, rows, { kind: map, seed: flags.seed ?? 0 }))
      return { rows, pictures, map: plane, metadata: metadataOf(run, map, unit) }
    })
    const files = await writeAll(out, given, force)
    const { M, D } = given.rows
    const { skippedFiles } = given.pictures
    const result = { ...seenOf(run, saved), images: M, features: D, map, files, skippedFiles }
    const words = `${counted(M, 'image')}, ${counted(D, 'feature')} each, in `
    process.stdout.write(`${json ? jsonLine(result) : words + files.map(printable).join(', ')}\n`)
    return 0
  } finally {
    await opened.close()
  }
}

const metadataOf = (run: string, map: MapKind | null, unit: boolean) => ({
  run,
  rows: unit ? 'of length 1' : 'as the encoder makes them',
  ...(map && { map }),
})
