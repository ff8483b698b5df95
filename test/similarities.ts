// Float64 references of what contrastive losses are made of.

/** The rows of values [N, D], scaled to unit length unless they are said to be. */
export const unitRows = (values: readonly number[], D: number, normalized = false): number[][] =>
  Array.from({ length: values.length / D }, (_, n) => {
    const row = values.slice(n * D, (n + 1) * D)
    const length = normalized ? 1 : Math.hypot(...row)
    return row.map((v) => v / length)
  })

export const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, v, c) => sum + v * (b[c] ?? NaN), 0)

export const logSumExp = (x: readonly number[]) => {
  if (x.length === 0) return -Infinity
  const top = Math.max(...x)
  return top + Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0))
}

export const meanOf = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length
