/** Median, least, greatest and number of some measurements. */
export function summary(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2
  return { median, min: sorted[0], max: sorted.at(-1), runs: sorted.length }
}

/** The largest difference of two vectors, relative to the largest element of the second. NaN where
 *  either has one. */
export function worstError(got, expected) {
  let difference = 0
  let scale = 0
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(got[i] - expected[i])
    if (Number.isNaN(d)) return NaN
    difference = Math.max(difference, d)
    scale = Math.max(scale, Math.abs(expected[i]))
  }
  return scale === 0 ? difference : difference / scale
}
