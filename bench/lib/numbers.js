/** Three significant digits, without an exponent where people read none; a dash for what is not
 *  known. */
export function digits(value) {
  if (value === undefined || Number.isNaN(value)) return '-'
  if (value === 0 || !Number.isFinite(value)) return String(value)
  if (Math.abs(value) >= 1000) return value.toFixed(0)
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded)
}
