/** Three significant digits, without an exponent where people read none. */
export function digits(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 1000) return value.toFixed(0)
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded)
}
