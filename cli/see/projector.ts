// Features as a folder for TensorFlow's embedding projector: https://projector.tensorflow.org, or
// the same in TensorBoard.

import sharp from 'sharp'
import { printable } from '../../kernels/printable.ts'
import type { NamedFeatures } from './feature-files.ts'
import type { FileParts } from './out-file.ts'
import { type Pictures, classOf } from './pictures.ts'
import { squares } from './thumbnails.ts'

const MOST = 8192 // pixels of a sprite's side, as the projector reads it
const SIDE = 64 // pixels of an image in it, at most
const AT_ONCE = 256 // rows, or images

/** Makes the files of a projector's folder, by name. */
export function projectorFiles(given: NamedFeatures): readonly (readonly [string, FileParts])[] {
  const { M } = given.rows
  const columns = Math.ceil(Math.sqrt(M))
  const side = Math.min(SIDE, given.pictures.set.image.height, Math.floor(MOST / columns))
  const sprite = [['sprite.png', spriteOf(given.pictures, columns, side)] as const]
  return [
    ['vectors.tsv', vectors(given)],
    ['metadata.tsv', metadata(given)],
    ...(side > 0 ? sprite : []),
    ['projector_config.pbtxt', [new TextEncoder().encode(configFor(side))]],
  ]
}

function* vectors({ rows: { features, M, D } }: NamedFeatures) {
  for (let m = 0; m < M; m++) {
    const row = Array.from(features.subarray(m * D, (m + 1) * D), (v) => Number(v.toPrecision(9)))
    yield new TextEncoder().encode(`${row.join('\t')}\n`)
  }
}

function* metadata({ pictures, map, rows: { M } }: NamedFeatures) {
  const head = ['name', 'class', 'half', ...(map ? ['x', 'y'] : [])]
  yield new TextEncoder().encode(`${head.join('\t')}\n`)
  for (let m = 0; m < M; m++) {
    const cells = [pictures.names[m] ?? '', classOf(pictures, m) ?? '', pictures.halves?.[m] ?? '']
    const place = map ? [String(map[2 * m]), String(map[2 * m + 1])] : []
    yield new TextEncoder().encode(`${[...cells.map(printable), ...place].join('\t')}\n`)
  }
}

/** Draws all images into one, row by row, each a square of `side` pixels. */
async function* spriteOf({ set }: Pictures, columns: number, side: number) {
  const whole = columns * side
  const pixels = new Uint8Array(whole * whole * 3).fill(255)
  for (let start = 0; start < set.size; start += AT_ONCE) {
    const count = Math.min(AT_ONCE, set.size - start)
    const places = Array.from({ length: count }, (_, i) => start + i)
    const small = await squares(set, places, side)
    for (const [n, i] of places.entries())
      for (let y = 0; y < side; y++) {
        const from = (n * side + y) * side * 3
        const at = ((Math.floor(i / columns) * side + y) * whole + (i % columns) * side) * 3
        pixels.set(small.subarray(from, from + side * 3), at)
      }
  }
  yield await sharp(pixels, { raw: { width: whole, height: whole, channels: 3 } })
    .png()
    .toBuffer()
}

const configFor = (side: number) => `embeddings {
  tensor_name: "features"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"${side > 0 ? spriteLines(side) : ''}
}
`

const spriteLines = (side: number) => `
  sprite {
    image_path: "sprite.png"
    single_image_dim: ${side}
    single_image_dim: ${side}
  }`
