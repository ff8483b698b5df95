// Whether two pictures show the same: the correlation of their grey pixels, where one may be a part
// of the other, as after a crop. An encoder finds candidates; this tells copies from what is alike.

/** Height and width in pixels of the grey pictures that are compared. */
export const GREY_SIDE = 48

const CELLS = 16 // rows and columns in which a window is averaged
const LEAST = 0.85 // smallest window, in sides
const PROMISING = 0.85 // correlation of a rough fit that is worth refining
const ROUNDS = 3 // of refinement
const W = GREY_SIDE + 1

/** A window of a picture: its side, and its place from 0 to 1 along x and y. */
type Window = readonly [side: number, x: number, y: number]

const rough: readonly Window[] = [
  [1, 0.5, 0.5],
  ...[0.95, 0.9].flatMap((side) =>
    [0, 0.5, 1].flatMap((x) => [0, 0.5, 1].map((y): Window => [side, x, y])),
  ),
]

/** A grey picture, ready to be compared. */
export interface GreyPicture {
  /** Sums over all pixels above and to the left. */
  readonly sums: Float64Array
  /** The whole picture in cells, of mean 0 and length 1. */
  readonly whole: Float64Array
}

/** Prepares grey pixels, u8 [48, 48]. */
export function greyPicture(pixels: Uint8Array): GreyPicture {
  const sums = new Float64Array(W * W)
  for (let y = 1; y < W; y++)
    for (let x = 1; x < W; x++)
      sums[y * W + x] =
        (pixels[(y - 1) * GREY_SIDE + x - 1] ?? 0) +
        (sums[y * W + x - 1] ?? 0) +
        (sums[(y - 1) * W + x] ?? 0) -
        (sums[(y - 1) * W + x - 1] ?? 0)
  return { sums, whole: cellsOf(sums, [1, 0, 0]) }
}

/** How well two pictures agree: correlations from -1 to 1. */
export interface Agreement {
  /** Of one picture with a window of the other that takes 85 % of its sides at least, the largest. */
  readonly value: number
  /** Of what differs from place to place: each cell less the mean of those around it. Pictures of
   *  one kind, such as X-rays of chests, agree in the large; copies agree in detail too. */
  readonly detail: number
}

/** Compares two pictures. A picture of one colour agrees with nothing. */
export function agreementOf(a: GreyPicture, b: GreyPicture): Agreement {
  const [ofA, ofB] = [fitted(a.sums, b.whole), fitted(b.sums, a.whole)]
  const [best, sums, whole] =
    ofA.value >= ofB.value ? [ofA, a.sums, b.whole] : [ofB, b.sums, a.whole]
  const cells = cellsOf(sums, best.window)
  return { value: best.value, detail: correlation(detailOf(cells), detailOf(whole)) }
}

/** Finds the window of a picture that agrees best with another: the best of a grid, then small
 *  steps from there. */
function fitted(
  sums: Float64Array,
  whole: Float64Array,
): { readonly value: number; readonly window: Window } {
  const at = (window: Window) => correlation(cellsOf(sums, window), whole)
  let best = -1
  let place = rough[0] ?? [1, 0, 0]
  const attempt = (window: Window) => {
    const found = at(window)
    if (found > best) [best, place] = [found, window]
  }
  rough.forEach(attempt)
  if (best < PROMISING) return { value: best, window: place }
  let [side, shift] = [0.025, 0.25]
  for (let round = 0; round < ROUNDS; round++) {
    for (const sign of [-1, 1]) {
      attempt([clamp(place[0] + sign * side, LEAST), place[1], place[2]])
      attempt([place[0], clamp(place[1] + sign * shift), place[2]])
      attempt([place[0], place[1], clamp(place[2] + sign * shift)])
    }
    side /= 2
    shift /= 2
  }
  return { value: best, window: place }
}

const clamp = (value: number, least = 0) => Math.min(1, Math.max(least, value))

function correlation(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** Averages a window in cells, less their mean, at length 1; zeros for a window of one colour. */
function cellsOf(sums: Float64Array, [side, x, y]: Window): Float64Array {
  const width = side * GREY_SIDE
  const [left, top] = [x * (GREY_SIDE - width), y * (GREY_SIDE - width)]
  const corners = new Float64Array((CELLS + 1) ** 2)
  for (let j = 0; j <= CELLS; j++)
    for (let i = 0; i <= CELLS; i++)
      corners[j * (CELLS + 1) + i] = between(
        sums,
        left + (width * i) / CELLS,
        top + (width * j) / CELLS,
      )
  const cells = new Float64Array(CELLS * CELLS)
  for (let j = 0; j < CELLS; j++)
    for (let i = 0; i < CELLS; i++) {
      const n = j * (CELLS + 1) + i
      const [a = 0, b = 0] = [corners[n], corners[n + 1]]
      const [c = 0, d = 0] = [corners[n + CELLS + 1], corners[n + CELLS + 2]]
      cells[j * CELLS + i] = a + d - b - c
    }
  return standard(cells)
}

/** Each cell less the mean of the 3 x 3 around it, of mean 0 and length 1. */
function detailOf(cells: Float64Array): Float64Array {
  const near = (n: number) => [n - 1, n, n + 1].filter((i) => i >= 0 && i < CELLS)
  const detail = cells.map((v, n) => {
    const [x, y] = [n % CELLS, Math.floor(n / CELLS)]
    const around = near(y).flatMap((j) => near(x).map((i) => cells[j * CELLS + i] ?? 0))
    return v - around.reduce((sum, each) => sum + each, 0) / around.length
  })
  return standard(detail)
}

/** Shifts and scales numbers to mean 0 and length 1; zeros for equal numbers. */
function standard(cells: Float64Array): Float64Array {
  const mean = cells.reduce((sum, v) => sum + v, 0) / cells.length
  const length = Math.sqrt(cells.reduce((sum, v) => sum + (v - mean) ** 2, 0))
  return cells.map((v) => (length < 1e-6 ? 0 : (v - mean) / length))
}

/** Reads sums between pixels, from the four around. */
function between(sums: Float64Array, x: number, y: number): number {
  const [left, top] = [Math.min(W - 2, Math.floor(x)), Math.min(W - 2, Math.floor(y))]
  const [dx, dy] = [x - left, y - top]
  const n = top * W + left
  const upper = (1 - dx) * (sums[n] ?? 0) + dx * (sums[n + 1] ?? 0)
  const lower = (1 - dx) * (sums[n + W] ?? 0) + dx * (sums[n + W + 1] ?? 0)
  return (1 - dy) * upper + dy * lower
}
