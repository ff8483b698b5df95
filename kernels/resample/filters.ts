// How much of each pixel of a line goes into each pixel of a shorter or longer line: tables of
// weights, in float64. The filter is Lanczos's with three lobes, as sharp's default is.

/** Pixels of a line: from the edge at `start`, `length` wide; edges may lie within pixels. */
export interface Span {
  readonly start: number
  readonly length: number
}

/** The weights of a line of `starts.length` pixels: pixel i is the sum over k below `taps` of
 *  weights[i * taps + k] times the source's pixel starts[i] + k. They sum to 1, or to 0 for a pixel
 *  that lies outside of the source. */
export interface Weights {
  readonly taps: number
  readonly starts: Int32Array<ArrayBuffer>
  readonly weights: Float32Array<ArrayBuffer>
}

const LOBES = 3

/** Lanczos's filter: sinc x times sinc (x / 3), and 0 from 3 on. */
export function lanczos(x: number): number {
  if (x === 0) return 1
  if (Math.abs(x) >= LOBES) return 0
  const angle = Math.PI * x
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / angle ** 2
}

/** Weights that scale the part `from` of a line of `size` pixels to the part `to` of a line of
 *  `count`. Where the line shrinks, the filter is as much wider, so that every pixel counts. */
export function weightsOf(size: number, from: Span, count: number, to: Span): Weights {
  const scale = from.length / to.length // source pixels for each of the result
  const width = Math.max(1, scale)
  const rows = Array.from({ length: count }, (_, i) => {
    const middle = i + 0.5 - to.start
    if (middle <= 0 || middle >= to.length) return { first: 0, row: [] }
    const centre = from.start + middle * scale
    const first = Math.max(0, Math.ceil(centre - LOBES * width - 0.5))
    const last = Math.min(size - 1, Math.floor(centre + LOBES * width - 0.5))
    const row = Array.from({ length: Math.max(0, last - first + 1) }, (__, k) =>
      lanczos((first + k + 0.5 - centre) / width),
    )
    return { first, row }
  })
  const taps = Math.max(1, ...rows.map(({ row }) => row.length))
  const weights = new Float32Array(count * taps)
  for (const [i, { row }] of rows.entries()) {
    const total = row.reduce((sum, weight) => sum + weight, 0)
    for (const [k, weight] of row.entries()) weights[i * taps + k] = weight / total
  }
  return { taps, starts: Int32Array.from(rows, ({ first }) => first), weights }
}
