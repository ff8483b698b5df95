// Ten two-tone patterns of the plane, the classes of the procedural set. Each is a signed field, about the distance to
// the nearest edge and positive on the ink, so that the painter can smooth the edge. Each covers about half the plane
// with ink and, through its `scale`, has about as much edge per area as the others: neither brightness nor contrast
// nor a random filter's mean response tells them apart, only how the edges are arranged.

/** Positive on the ink, negative on the paper, about the distance to the edge between. */
export type Field = (u: number, v: number) => number

/** A random number in [0, 1), the same each time for the same draw of the same image. */
export type Draw = () => number

export interface Pattern {
  readonly name: string
  /** Size of the pattern's unit, in widths of a stripe's period. */
  readonly scale: number
  readonly field: (draw: Draw) => Field
}

/** Distance from the middle of the unit cell that x lies in, 0 to 0.5. */
const fold = (x: number) => Math.abs(x - Math.floor(x) - 0.5)

/** Length of a vector; Math.hypot guards against overflow and is many times slower. */
export const length = (x: number, y: number) => Math.sqrt(x * x + y * y)

const stripes: Field = (_u, v) => fold(v) - 0.25

const zigzag: Field = (u, v) => (fold(v + 2 * fold(u / 2)) - 0.25) * Math.SQRT1_2

const checkerboard: Field = (u, v) => {
  const [a, b] = [0.25 - fold(u), 0.25 - fold(v)]
  return Math.min(Math.abs(a), Math.abs(b)) * Math.sign(a * b)
}

/** Distance to the nearest point of the triangular lattice with spacing 1. */
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

/** The triangular tiling, its triangles coloured in turn. */
const triangles: Field = (u, v) => {
  const h = (2 * v) / Math.sqrt(3)
  const [a, b, c] = [h, u - h / 2, u + h / 2]
  const parity = (Math.floor(a) + Math.floor(b) + Math.floor(c)) & 1
  const edge = (0.5 - Math.max(fold(a), fold(b), fold(c))) * (Math.sqrt(3) / 2)
  return parity ? edge : -edge
}

/** Plus signs of five squares, tilted in a lattice of ten. */
const crosses: Field = (u, v) => {
  // the lattice (3, 1), (-1, 3) in units of one arm's width
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

/** Square tiles of two bars each, lying and standing in turn. */
const weave: Field = (u, v) => {
  const lying = (Math.floor(u) + Math.floor(v)) & 1
  const [along, across] = lying ? [u, v] : [v, u]
  return Math.min((fold(2 * across + 0.5) - 0.234) / 2, 0.47 - fold(along))
}

/** Blobs: the sign of a sum of plane waves of random direction and about one wavelength. */
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

/** The classes, in the order of their labels. */
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
