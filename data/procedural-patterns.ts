// Defines ten two-tone patterns of the plane, the classes of the procedural set. A pattern is a
// signed field: about the distance to the nearest edge, positive on the ink, so that edges can be
// smoothed. All patterns have about half their area in ink and, by their `scale`, about the same
// length of edge per area. So only the arrangement of the edges tells them apart: brightness,
// contrast and the mean response of a random filter do not.

/** Returns about the distance to the nearest edge, positive on the ink, negative on the paper. */
export type Field = (u: number, v: number) => number

/** Draws a random number in [0, 1). An image gets the same numbers each time. */
export type Draw = () => number

export interface Pattern {
  readonly name: string
  /** Size of the pattern's unit, in periods of the stripes. */
  readonly scale: number
  readonly field: (draw: Draw) => Field
}

/** |x - floor(x) - 0.5|: the distance from the middle of x's unit cell, 0 to 0.5. */
const fold = (x: number) => Math.abs(x - Math.floor(x) - 0.5)

/** sqrt(x^2 + y^2). Math.hypot guards against overflow and is many times slower. */
export const length = (x: number, y: number) => Math.sqrt(x * x + y * y)

const stripes: Field = (_u, v) => fold(v) - 0.25

const zigzag: Field = (u, v) => (fold(v + 2 * fold(u / 2)) - 0.25) * Math.SQRT1_2

const checkerboard: Field = (u, v) => {
  const [a, b] = [0.25 - fold(u), 0.25 - fold(v)]
  return Math.min(Math.abs(a), Math.abs(b)) * Math.sign(a * b)
}

/** Returns the distance to the nearest point of the triangular lattice with spacing 1. */
function hexagonal(u: number, v: number) {
  const H = Math.sqrt(3)
  const a = length(u - Math.round(u), v - H * Math.round(v / H))
  const b = length(fold(u), v - H * (Math.floor(v / H) + 0.5))
  return Math.min(a, b)
}

const dots: Field = (u, v) => 0.371 - hexagonal(u, v)

const rings: Field = (u, v) => 0.111 - Math.abs(hexagonal(u, v) - 0.31)

const bricks: Field = (u, v) => {
  const row = Math.floor(v)
  const along = 2 * (0.5 - fold(u / 2 + row / 2))
  const across = 0.5 - fold(v)
  return Math.min(along, across) - 0.191
}

/** Triangular tiling; neighbouring triangles have opposite colours. */
const triangles: Field = (u, v) => {
  const h = (2 * v) / Math.sqrt(3)
  const [a, b, c] = [h, u - h / 2, u + h / 2]
  const parity = (Math.floor(a) + Math.floor(b) + Math.floor(c)) & 1
  const edge = (0.5 - Math.max(fold(a), fold(b), fold(c))) * (Math.sqrt(3) / 2)
  return parity ? edge : -edge
}

/** Plus signs of five squares, tilted in a lattice of ten. */
const crosses: Field = (u, v) => {
  // lattice vectors (3, 1) and (-1, 3), in widths of an arm
  const [a, b] = [(3 * u + v) / 10, (3 * v - u) / 10]
  const [i, j] = [Math.round(a), Math.round(b)]
  let best = -1
  for (let di = -1; di <= 1; di++)
    for (let dj = -1; dj <= 1; dj++) {
      const [x, y] = [Math.abs(u - 3 * (i + di) + (j + dj)), Math.abs(v - (i + di) - 3 * (j + dj))]
      best = Math.max(best, Math.min(1.5 - Math.max(x, y), 0.5 - Math.min(x, y)))
    }
  return best
}

/** Square tiles of two bars each, horizontal and vertical in turn. */
const weave: Field = (u, v) => {
  const lying = (Math.floor(u) + Math.floor(v)) & 1
  const [along, across] = lying ? [u, v] : [v, u]
  return Math.min((fold(2 * across + 0.5) - 0.234) / 2, 0.47 - fold(along))
}

/** Blobs: the sign of a sum of plane waves with random directions and about one wavelength. */
function blobs(draw: Draw): Field {
  const waves = Array.from({ length: 7 }, (_, i) => {
    const angle = ((i + draw()) / 7) * Math.PI
    const k = 2 * Math.PI * (0.6 + 0.8 * draw())
    return [k * Math.cos(angle), k * Math.sin(angle), 2 * Math.PI * draw()] as const
  })
  return (u, v) => {
    let sum = 0
    for (const [a, b, phase] of waves) sum += Math.cos(a * u + b * v + phase)
    return sum / (2 * Math.PI * Math.sqrt(7 / 2))
  }
}

const still = (field: Field) => () => field

/** Classes in the order of their labels. */
export const patterns: readonly Pattern[] = [
  { name: 'stripes', scale: 1, field: still(stripes) },
  { name: 'zigzag', scale: 1.38, field: still(zigzag) },
  { name: 'checkerboard', scale: 1.95, field: still(checkerboard) },
  { name: 'dots', scale: 1.32, field: still(dots) },
  { name: 'rings', scale: 2.2, field: still(rings) },
  { name: 'bricks', scale: 1.15, field: still(bricks) },
  { name: 'triangles', scale: 1.68, field: still(triangles) },
  { name: 'crosses', scale: 0.6, field: still(crosses) },
  { name: 'weave', scale: 2.25, field: still(weave) },
  { name: 'blobs', scale: 1.07, field: blobs },
]
