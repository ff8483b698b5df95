// Whether two pictures show the same: the correlation of their grey pixels, where one may be a part
// of the other, as after a crop. An encoder finds candidates; this tells copies from what is alike.

/** Largest height and width in pixels of the grey pictures that are compared. */
export const GREY_SIDE = 48

const CELLS = 16 // rows and columns in which a window is averaged
const LEAST = 0.85 // smallest window, in sides
const PROMISING = 0.85 // correlation of a rough fit that is worth refining
const ROUNDS = 3 // of refinement

/** A window of a picture: its side, and its place from 0 to 1 along x and y. */
type Window = readonly [side: number, x: number, y: number]

const FLAT = 1e-6 // squared length of cells of one colour, but for rounding

const corners = new Float64Array((CELLS + 1) ** 2) // of the window that is looked at

const WHOLE: Window = [1, 0, 0]

const rough: readonly Window[] = [
  [1, 0.5, 0.5],
  ...[0.95, 0.9].flatMap((side) =>
    [0, 0.5, 1].flatMap((x) => [0, 0.5, 1].map((y): Window => [side, x, y])),
  ),
]

/** A grey picture, ready to be compared. */
export interface GreyPicture {
  /** Height and width in pixels. */
  readonly side: number
  /** Sums over all pixels above and to the left. */
  readonly sums: Float64Array
  /** The whole picture in 16 x 16 cells, of mean 0 and length 1. */
  readonly whole: Float64Array
  /** The windows that are tried first. They are averaged when this is first read, and kept:
   *  39 kB. */
  readonly rough: Windows
}

/** Some windows in cells. */
interface Windows {
  /** [windows, CELLS, CELLS], sums of pixels. */
  readonly cells: Float64Array
  /** [windows], squared lengths of the cells less their mean. */
  readonly spreads: Float64Array
}

/** Prepares the grey pixels of a square, u8. */
export function greyPicture(pixels: Uint8Array): GreyPicture {
  const side = Math.sqrt(pixels.length)
  const W = side + 1
  const sums = new Float64Array(W * W)
  for (let y = 1; y < W; y++)
    for (let x = 1; x < W; x++)
      sums[y * W + x] =
        (pixels[(y - 1) * side + x - 1] ?? 0) +
        (sums[y * W + x - 1] ?? 0) +
        (sums[(y - 1) * W + x] ?? 0) -
        (sums[(y - 1) * W + x - 1] ?? 0)
  let windows: Windows | null = null
  return {
    ...{ side, sums, whole: standard(averaged({ side, sums }, WHOLE, CELLS)) },
    get rough() {
      return (windows ??= windowsOf({ side, sums }, rough))
    },
  }
}

type Measured = Pick<GreyPicture, 'side' | 'sums'>

/** How well two pictures agree: correlations from -1 to 1. */
export interface Agreement {
  /** Of one picture with a window of the other that takes 85 % of its sides at least, the
   *  largest. */
  readonly value: number
  /** Of what differs from place to place: each cell less the mean of those around it. Pictures of
   *  one kind, such as X-rays of chests, agree in the large; copies agree in detail too. */
  readonly detail: number
  /** Averages the window, and the other picture whole, in side x side cells, in grey levels. */
  readonly aligned: (side: number) => readonly [window: Float64Array, whole: Float64Array]
}

/** Compares two pictures. A picture of one colour agrees with nothing. */
export function agreementOf(a: GreyPicture, b: GreyPicture): Agreement {
  const [ofA, ofB] = [fitted(a, b.whole), fitted(b, a.whole)]
  const [best, from, to] = ofA.value >= ofB.value ? [ofA, a, b] : [ofB, b, a]
  return {
    value: best.value,
    get detail() {
      const cells = standard(averaged(from, best.window, CELLS))
      return correlation(detailOf(cells), detailOf(to.whole))
    },
    aligned: (side) => [averaged(from, best.window, side), averaged(to, WHOLE, side)],
  }
}

/** Finds the window of a picture that agrees best with another: the best of a grid, then small
 *  steps from there. */
function fitted(
  picture: GreyPicture,
  whole: Float64Array,
): { readonly value: number; readonly window: Window } {
  let best = -1
  let place = WHOLE
  const attempt = (window: Window, windows: Windows, i: number) => {
    const found = correlationAt(windows, i, whole)
    if (found > best) [best, place] = [found, window]
  }
  const refine = (...window: Window) => attempt(window, windowsOf(picture, [window], scratch), 0)
  for (const [i, window] of rough.entries()) attempt(window, picture.rough, i)
  if (best < PROMISING) return { value: best, window: place }
  let [side, shift] = [0.025, 0.25]
  for (let round = 0; round < ROUNDS; round++) {
    for (const sign of [-1, 1]) {
      refine(clamp(place[0] + sign * side, LEAST), place[1], place[2])
      refine(place[0], clamp(place[1] + sign * shift), place[2])
      refine(place[0], place[1], clamp(place[2] + sign * shift))
    }
    side /= 2
    shift /= 2
  }
  return { value: best, window: place }
}

const clamp = (value: number, least = 0) => Math.min(1, Math.max(least, value))

/** Sums the products of a with what lies in b from `from` on. */
function correlation(a: Float64Array, b: Float64Array, from = 0): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[from + i] ?? 0)
  return sum
}

/** Correlates window i with a picture in cells of mean 0 and length 1; 0 for a window of one
 *  colour. */
function correlationAt({ cells, spreads }: Windows, i: number, whole: Float64Array): number {
  const spread = spreads[i] ?? 0
  return spread < FLAT ? 0 : correlation(whole, cells, i * CELLS ** 2) / Math.sqrt(spread)
}

const emptyWindows = (count: number): Windows => ({
  cells: new Float64Array(count * CELLS ** 2),
  spreads: new Float64Array(count),
})

const scratch = emptyWindows(1) // of a window that is not kept

/** Sums some windows in cells, into arrays that may be given. */
function windowsOf(
  picture: Measured,
  windows: readonly Window[],
  { cells, spreads } = emptyWindows(windows.length),
): Windows {
  for (const [i, window] of windows.entries()) {
    setCorners(picture, window, CELLS, corners)
    let [sum, squares] = [0, 0]
    for (let n = 0; n < CELLS ** 2; n++) {
      const cell = cellAt(corners, n, CELLS)
      sum += cell
      squares += cell * cell
      cells[i * CELLS ** 2 + n] = cell
    }
    spreads[i] = squares - sum ** 2 / CELLS ** 2
  }
  return { cells, spreads }
}

/** Averages a window in cells x cells, in grey levels. */
function averaged(picture: Measured, window: Window, cells: number): Float64Array {
  const at = new Float64Array((cells + 1) ** 2)
  setCorners(picture, window, cells, at)
  const area = ((window[0] * picture.side) / cells) ** 2
  return new Float64Array(cells * cells).map((_, n) => cellAt(at, n, cells) / area)
}

/** Sums a cell from the sums at its corners. */
function cellAt(at: Float64Array, n: number, cells: number): number {
  const upper = n + Math.floor(n / cells) // a row has one corner more than it has cells
  const lower = upper + cells + 1
  return (at[upper] ?? 0) + (at[lower + 1] ?? 0) - (at[upper + 1] ?? 0) - (at[lower] ?? 0)
}

/** Writes the sums above and to the left of each cell's corner, [cells + 1, cells + 1]. Between
 *  pixels it reads from the four around. */
function setCorners(
  { side, sums }: Measured,
  [part, x, y]: Window,
  cells: number,
  at: Float64Array,
) {
  const [step, margin, W] = [(part * side) / cells, side - part * side, side + 1]
  for (let j = 0, n = 0; j <= cells; j++) {
    const down = y * margin + step * j
    const top = Math.min(side - 1, Math.floor(down))
    for (let i = 0; i <= cells; i++, n++) {
      const along = x * margin + step * i
      const left = Math.min(side - 1, Math.floor(along))
      const [m, dx] = [top * W + left, along - left]
      const upper = (1 - dx) * (sums[m] ?? 0) + dx * (sums[m + 1] ?? 0)
      const lower = (1 - dx) * (sums[m + W] ?? 0) + dx * (sums[m + W + 1] ?? 0)
      at[n] = upper + (down - top) * (lower - upper)
    }
  }
}

/** Each cell less the mean of the 3 x 3 around it, of mean 0 and length 1. */
function detailOf(cells: Float64Array): Float64Array {
  const detail = new Float64Array(CELLS ** 2)
  for (let n = 0; n < detail.length; n++) {
    const [x, y] = [n % CELLS, Math.floor(n / CELLS)]
    const [left, right] = [Math.max(0, x - 1), Math.min(CELLS - 1, x + 1)]
    const [top, bottom] = [Math.max(0, y - 1), Math.min(CELLS - 1, y + 1)]
    let around = 0
    for (let j = top; j <= bottom; j++)
      for (let i = left; i <= right; i++) around += cells[j * CELLS + i] ?? 0
    detail[n] = (cells[n] ?? 0) - around / ((right - left + 1) * (bottom - top + 1))
  }
  return standard(detail)
}

/** Shifts and scales numbers to mean 0 and length 1; zeros for equal numbers. */
function standard(cells: Float64Array): Float64Array {
  const mean = cells.reduce((sum, v) => sum + v, 0) / cells.length
  const length = Math.sqrt(cells.reduce((sum, v) => sum + (v - mean) ** 2, 0))
  return cells.map((v) => (length < 1e-6 ? 0 : (v - mean) / length))
}
