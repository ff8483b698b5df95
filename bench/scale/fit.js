// Exponents of growth: value = c size^e, fitted by least squares on logarithms.

/** The exponent of `values` over `sizes`. */
export function exponent(sizes, values) {
  const [x, y] = [sizes.map(Math.log), values.map(Math.log)]
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length
  const [mx, my] = [mean(x), mean(y)]
  const covariance = x.reduce((sum, v, i) => sum + (v - mx) * (y[i] - my), 0)
  return covariance / x.reduce((sum, v) => sum + (v - mx) ** 2, 0)
}

/** The exponent between the two largest sizes, where what does not grow weighs least. */
export const lastExponent = (sizes, values) => exponent(sizes.slice(-2), values.slice(-2))
