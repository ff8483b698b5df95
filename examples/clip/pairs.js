// Pairs of pictures and captions, drawn from a seed: "a large red disc at the top left".

import { threefry2x32, uniform01 } from 'kindred/node'

const colours = {
  red: [220, 50, 40],
  green: [50, 180, 70],
  blue: [50, 90, 220],
  yellow: [230, 210, 60],
  purple: [150, 60, 190],
  white: [240, 240, 240],
}
/** Whether a point lies in a shape, in lengths of its half side. */
const shapes = {
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 0.85,
  disc: (x, y) => x * x + y * y < 1,
  ring: (x, y) => Math.abs(x * x + y * y - 0.75) < 0.3,
  cross: (x, y) =>
    Math.min(Math.abs(x), Math.abs(y)) < 0.3 && Math.max(Math.abs(x), Math.abs(y)) < 1,
}
const sizes = { small: 0.14, large: 0.24 }
const rows = { top: 0.27, bottom: 0.73 }
const columns = { left: 0.27, right: 0.73 }

const tables = [sizes, colours, shapes, rows, columns]

/** Number of different captions. */
export const kinds = tables.reduce((n, table) => n * Object.keys(table).length, 1)

/** The words of kind k, from 0 to `kinds` - 1: size, colour, shape, row and column. */
function wordsOf(k) {
  let rest = k
  return tables.map((table) => {
    const names = Object.keys(table)
    const name = names[rest % names.length]
    rest = Math.floor(rest / names.length)
    return name
  })
}

/** The caption of kind k. */
export function captionOf(k) {
  const [size, colour, shape, row, column] = wordsOf(k)
  return `a ${size} ${colour} ${shape} at the ${row} ${column}`
}

/** Draws pair i of a seed: its kind, and its picture, u8 [side, side, 3]. Place, background and
 *  noise differ from picture to picture. */
function pairOf(seed, i, side) {
  let count = 0
  const draw = () => uniform01(threefry2x32([seed, 0x70616972], [i, count++])[0])
  const kind = Math.floor(draw() * kinds)
  const [size, colour, shape, row, column] = wordsOf(kind)
  const [y0, x0] = [rows[row] + 0.1 * (draw() - 0.5), columns[column] + 0.1 * (draw() - 0.5)]
  const grey = 20 + 70 * draw()
  const pixels = new Uint8Array(side * side * 3)
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const [u, v] = [((x + 0.5) / side - x0) / sizes[size], ((y + 0.5) / side - y0) / sizes[size]]
      const ink = shapes[shape](u, v) ? colours[colour] : [grey, grey, grey]
      for (let c = 0; c < 3; c++)
        pixels[(y * side + x) * 3 + c] = Math.max(0, Math.min(255, ink[c] + 30 * (draw() - 0.5)))
    }
  return { kind, pixels }
}

/** Draws pairs `first` to `first + count - 1`: u8 pictures [count, side, side, 3], their captions
 *  and kinds. */
export function pairs({ seed = 0, first = 0, count, side = 32 }) {
  const all = Array.from({ length: count }, (_, n) => pairOf(seed, first + n, side))
  const images = new Uint8Array(count * side * side * 3)
  for (const [n, { pixels }] of all.entries()) images.set(pixels, n * pixels.length)
  const found = all.map(({ kind }) => kind)
  return { images, shape: [count, side, side, 3], captions: found.map(captionOf), kinds: found }
}
