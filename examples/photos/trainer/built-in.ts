// The built-in pictures: ten kinds of patterns, drawn here. Their classes are known, so the page
// can say how often neighbours agree.

import type { BuiltInOptions } from '../common/api.ts'
import { type Dataset, procedural, select } from 'kindred'
import type { PhotoSet } from './photo-set.ts'

/** Draws the built-in pictures. `onDrawn` hears how many are drawn. */
export async function builtIn(
  { count, test, side, kinds = KINDS, seed }: BuiltInOptions,
  onDrawn: (pixels: Uint8Array, drawn: number) => void,
): Promise<PhotoSet> {
  const enough = (wanted: number) => Math.ceil(wanted / kinds) * KINDS
  const all = procedural({ size: side, train: enough(count), test: enough(test), seed })
  const split = { train: some(all.train, count, kinds), test: some(all.test, test, kinds) }
  const { classes, labels } = split.train
  return {
    kind: 'built-in',
    side,
    classes,
    labels: labels && Int32Array.from(labels),
    names: Array.from({ length: count }, (_, i) => `${classes[labels?.[i] ?? 0]} ${i + 1}`),
    pixels: await pixelsOf(split.train, onDrawn),
    test: {
      pixels: await pixelsOf(split.test, () => {}),
      labels: split.test.labels && Int32Array.from(split.test.labels),
    },
  }
}

const KINDS = 10 // of patterns

/** The first pictures of the first kinds. */
function some(set: Dataset, count: number, kinds: number): Dataset {
  const chosen = [...(set.labels ?? []).entries()].filter(([, label]) => label < kinds)
  return select(
    set,
    chosen.slice(0, count).map(([i]) => i),
  )
}

const PART = 64 // pictures

async function pixelsOf(
  set: Dataset,
  onDrawn: (pixels: Uint8Array, drawn: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const { height, width, channels } = set.image
  const stride = height * width * channels
  const pixels = new Uint8Array(set.size * stride)
  for (let from = 0; from < set.size; from += PART) {
    const length = Math.min(PART, set.size - from)
    const indices = Uint32Array.from({ length }, (_, i) => from + i)
    await set.read(indices, pixels.subarray(from * stride, (from + length) * stride))
    onDrawn(pixels, from + length)
  }
  return pixels
}
