// Inputs that every contestant makes for itself, bit for bit the same in JavaScript and in Python
// (bench/torch/common.py): a 32-bit integer hash of the element's number, of which the upper 24
// bits make a float.

/** `count` numbers uniform in [-1, 1), each exact in f32. */
export function uniform(count, seed) {
  const x = new Float32Array(count)
  const offset = Math.imul(seed, 0x9e3779b9)
  for (let i = 0; i < count; i++) x[i] = (hash(i + offset) >>> 8) / 2 ** 23 - 1
  return x
}

// Multipliers and shifts by Chris Wellons, https://nullprogram.com/blog/2018/07/31/ (lowbias32).
function hash(i) {
  let h = i
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
  return h ^ (h >>> 16)
}

/** Numbers that resemble `x` as the second view of an image does its first: 3/4 x plus noise. */
export function resembling(x, seed) {
  const noise = uniform(x.length, seed)
  return x.map((value, i) => 0.75 * value + 0.5 * noise[i])
}

/** The rows [N, D] of x divided by their lengths. */
export function unitRows(x, D) {
  const z = new Float32Array(x.length)
  for (let start = 0; start < x.length; start += D) {
    let square = 0
    for (let c = start; c < start + D; c++) square += x[c] * x[c]
    const scale = 1 / Math.sqrt(square)
    for (let c = start; c < start + D; c++) z[c] = x[c] * scale
  }
  return z
}
