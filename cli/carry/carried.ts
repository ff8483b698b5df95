// How many images a packed run carries, and how large they are, in words.

import type { Dataset, Split } from '../../data/dataset.ts'
import { pixelBytes } from '../../data/images-file.ts'
import { counted } from '../../data/words.ts'
import { megabytes } from '../../engine/node-files.ts'

/** Images that a packed run carries: how many, and how large. */
export interface CarriedImages {
  readonly train: number
  readonly test: number
  /** Bytes as pixels, as they are carried. */
  readonly pixels: number
  /** Bytes of their files, where each has its own. */
  readonly files?: number
}

/** Counts the images of a data set and their bytes. */
export async function carriedIn(images: Split): Promise<CarriedImages> {
  const { train, test } = images
  const half = async ({ size, fileSizes }: Dataset) =>
    (await fileSizes?.(Array.from({ length: size }, (_, i) => i))) ?? []
  const sizes = [...(await half(train)), ...(await half(test))]
  const files = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
  const known = sizes.length === train.size + test.size ? { files } : {}
  return { train: train.size, test: test.size, pixels: pixelBytes(images), ...known }
}

/** Writes them: '8 training and 2 test images, 53 KB as files, 69 KB as pixels'. */
export const carriedWords = ({ train, test, pixels, files }: CarriedImages) =>
  `${train} training and ${counted(test, 'test image')}, ` +
  (files === undefined ? '' : `${megabytes(files)} as files, `) +
  `${megabytes(pixels)} as pixels`
