// Features as files: safetensors, .npy with a file of names, CSV. Each is made in parts, so that a
// set of any size needs no more memory than its features.

import { encodeNpy } from '../../engine/npy.ts'
import { type SavedTensor, encodeSafetensors } from '../../engine/safetensors.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import { type Pictures, classOf } from './pictures.ts'

/** Features with what is known of their images. */
export interface NamedFeatures {
  readonly rows: Embeddings
  readonly pictures: Pictures
  /** [M, 2], places on a map; null where none was asked for. */
  readonly map: Float64Array | null
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>
}

const LINES = 256 // rows of a part

/** Makes a safetensors file: `features` [M, D], `names` (U8, a JSON list), `labels` [M], `map`
 *  [M, 2]. */
export function safetensorsOf({ rows, pictures, map, metadata }: NamedFeatures): Uint8Array[] {
  const { features, M, D } = rows
  const { names, set, halves } = pictures
  const names8 = new TextEncoder().encode(JSON.stringify(names))
  const tensors = new Map<string, SavedTensor>([
    ['features', { shape: [M, D], data: features }],
    ['names', { shape: [names8.length], data: names8 }],
  ])
  if (set.labels) tensors.set('labels', { shape: [M], data: set.labels })
  if (halves)
    tensors.set('test', {
      shape: [M],
      data: Uint8Array.from(halves, (half) => Number(half === 'test')),
    })
  if (map) tensors.set('map', { shape: [M, 2], data: Float32Array.from(map) })
  const about = { ...metadata, classes: JSON.stringify(set.classes) }
  return [encodeSafetensors({ tensors, metadata: about })]
}

/** Makes a .npy file [M, D]. */
export const npyOfRows = ({ rows }: NamedFeatures): Uint8Array[] => [encodeNpy(rows)]

/** Makes the CSV of names, classes, halves and places that goes with a .npy file. */
export const namesCsv = (given: NamedFeatures) => lines(given, () => [])

/** Makes a CSV of names, classes, halves, places and features. */
export function featuresCsv(given: NamedFeatures) {
  const { features, D } = given.rows
  return lines(given, (m) => Array.from(features.subarray(m * D, (m + 1) * D), shortest), D)
}

/** Yields the lines of a CSV. `more` gives further cells of a row. */
function* lines(
  { rows, pictures, map }: NamedFeatures,
  more: (m: number) => readonly string[],
  width = 0,
): Generator<Uint8Array> {
  const encoder = new TextEncoder()
  const head = ['name', 'class', 'half', ...(map ? ['x', 'y'] : [])]
  const named = Array.from({ length: width }, (_, d) => `f${d}`)
  yield encoder.encode(`${[...head, ...named].join(',')}\n`)
  for (let start = 0; start < rows.M; start += LINES) {
    let text = ''
    for (let m = start; m < Math.min(rows.M, start + LINES); m++) {
      const cells = [
        pictures.names[m] ?? '',
        classOf(pictures, m) ?? '',
        pictures.halves?.[m] ?? '',
      ]
      const place = map ? [shortest(map[2 * m] ?? NaN), shortest(map[2 * m + 1] ?? NaN)] : []
      text += `${[...cells.map(quotedCell), ...place, ...more(m)].join(',')}\n`
    }
    yield encoder.encode(text)
  }
}

/** Writes an f32 in the digits that tell it from all others. */
const shortest = (v: number) => String(Number(v.toPrecision(9)))

/** Quotes a cell as RFC 4180 says, where it must be. */
const quotedCell = (text: string) =>
  /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
