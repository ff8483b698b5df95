// Batch normalisation in float64, one column at a time.

const eps = 1e-5

/** Normalises each of C columns by its own mean and variance, or by those given. */
export function batchNormReference(
  C: number,
  given?: { mean: readonly number[]; variance: readonly number[] },
) {
  return (x: number[], gamma: number[], beta: number[]) => {
    const y: number[] = []
    for (let c = 0; c < C; c++) {
      const column = x.filter((_, i) => i % C === c)
      const mean = given?.mean[c] ?? column.reduce((a, b) => a + b, 0) / column.length
      const variance = given?.variance[c] ?? column.reduce((a, b) => a + (b - mean) ** 2, 0) / column.length
      for (const [m, value] of column.entries())
        y[m * C + c] = ((value - mean) / Math.sqrt(variance + eps)) * (gamma[c] ?? NaN) + (beta[c] ?? NaN)
    }
    return y
  }
}
