// What is left of one small picture when another explains it as well as it can. Copies differ by
// the noise of a codec and by resampling: a little smoothing, a shift by parts of a pixel, a
// stretch. Those are terms of a least-squares fit. What they do not explain are other contents.

/** What is left after a fit. */
export interface Residual {
  /** Root mean square of what is left, in grey levels. */
  readonly rms: number
  /** That, divided by the root mean square of what was to be explained; 1 where that is nothing. */
  readonly share: number
}

/** Fits the fine content of a picture [side, side] to that of another, and returns what is left of
 *  the latter. Fine content leaves out the noise of single pixels and all that changes slowly. */
export function residualOf(picture: Float64Array, other: Float64Array, side: number): Residual {
  const fine = fineOf(picture, side)
  const [along, down] = [slopes(fine, side, 1), slopes(fine, side, side)]
  const place = (at: number) => (2 * at) / (side - 1) - 1
  const terms = [
    fine,
    minus(fine, smooth(fine, side)), //              less or more smoothing
    ...[along, down], //                             a shift
    along.map((v, n) => v * place(n % side)), //     a stretch along x
    down.map((v, n) => v * place(Math.floor(n / side))), // and along y
  ]
  const wanted = fineOf(other, side)
  const [whole, left] = [length(wanted), length(unexplained(wanted, terms))]
  return { rms: left / side, share: whole === 0 ? 1 : left / whole }
}

/** Subtracts from y its projection on the terms, by Gram-Schmidt. */
function unexplained(y: Float64Array, terms: readonly Float64Array[]): Float64Array {
  const basis: Float64Array[] = []
  let left = y
  for (const term of terms) {
    const own = basis.reduce((t, e) => without(t, e), term)
    const norm = length(own)
    if (norm <= 1e-6 * length(term)) continue // the terms before it explain it
    const unit = own.map((v) => v / norm)
    basis.push(unit)
    left = without(left, unit)
  }
  return left
}

/** Subtracts from y its projection on a vector of length 1. */
function without(y: Float64Array, unit: Float64Array): Float64Array {
  const share = dot(y, unit)
  return y.map((v, n) => v - share * (unit[n] ?? 0))
}

/** A band of a picture: smoothed once, less what is left when it is smoothed three times more. */
function fineOf(picture: Float64Array, side: number): Float64Array {
  const once = smooth(picture, side)
  return minus(once, smooth(smooth(smooth(once, side), side), side))
}

/** Smooths by 1/4, 1/2, 1/4 along both axes; edges repeat. */
function smooth(picture: Float64Array, side: number): Float64Array {
  const along = (from: Float64Array, stride: number) =>
    from.map((v, n) => {
      const [before, after] = around(n, side, stride)
      return (2 * v + (from[before] ?? 0) + (from[after] ?? 0)) / 4
    })
  return along(along(picture, 1), side)
}

/** Differences of the pixels on both sides, along x (stride 1) or y (stride side). */
const slopes = (picture: Float64Array, side: number, stride: number) =>
  picture.map((_, n) => {
    const [before, after] = around(n, side, stride)
    return (picture[after] ?? 0) - (picture[before] ?? 0)
  })

/** Indices of the pixels before and after one along an axis; at an edge itself. */
function around(n: number, side: number, stride: number) {
  const at = Math.floor(n / stride) % side
  return [at > 0 ? n - stride : n, at < side - 1 ? n + stride : n] as const
}

const minus = (a: Float64Array, b: Float64Array) => a.map((v, n) => v - (b[n] ?? 0))
const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, n) => sum + v * (b[n] ?? 0), 0)
const length = (a: Float64Array) => Math.sqrt(dot(a, a))
