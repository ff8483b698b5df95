// Whether one picture is a copy of another: saved again, resized or cropped. docs/curation.md has
// the distributions by which the limits were chosen.

import { GREY_SIDE, type GreyPicture, agreementOf } from './agreement.ts'
import { residualOf } from './residual.ts'

const DETAIL = 0.9 // least agreement in detail of copies
const FEWEST = 8 // smallest side of pictures that are compared
// What small copies leave unexplained, at most: grey levels for each pixel of the side, up to a
// number of them, and a share of the fine content.
const [LEVELS_PER_PIXEL, LEVELS, SHARE] = [1 / 16, 1.75, 0.3]

/** Returns how well two pictures agree in the large if one is a copy of the other, else null: 1 if
 *  their pixels are equal; else they agree by `least` in the large, and in what is fine. Pictures
 *  of one kind, such as X-rays of chests, agree in the large alone. Of a picture with a side below
 *  48 pixels too little is left in 16 x 16 cells to tell; there all pixels are compared, after the
 *  best small change. */
export function copyAgreement(a: GreyPicture, b: GreyPicture, least: number): number | null {
  if (areEqual(a, b)) return 1 // correlation tells nothing of one colour or of single pixels
  const agreement = agreementOf(a, b) // its detail is computed when it is read
  const { value } = agreement
  if (value < least) return null
  const side = Math.min(a.side, b.side)
  if (side >= GREY_SIDE) return agreement.detail >= DETAIL ? value : null
  if (side < FEWEST) return null
  const { rms, share } = residualOf(...agreement.aligned(side), side)
  return rms <= Math.min(LEVELS, LEVELS_PER_PIXEL * side) && share <= SHARE ? value : null
}

/** Tells whether all pixels are equal, or both pictures are of one and the same grey. */
function areEqual(a: GreyPicture, b: GreyPicture): boolean {
  if (a.side === b.side) return a.sums.every((sum, n) => sum === b.sums[n])
  const grey = onlyGrey(a)
  return grey !== null && grey === onlyGrey(b)
}

/** Returns the grey level of a picture of one colour, null for others. */
function onlyGrey({ side, sums }: GreyPicture): number | null {
  const W = side + 1
  const grey = sums[W + 1] ?? 0
  return sums.every((sum, n) => sum === grey * (n % W) * Math.floor(n / W)) ? grey : null
}
