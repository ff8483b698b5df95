// Numbers as IEEE 754 binary16, which JavaScript has no array of everywhere.

const single = new Float32Array(1)
const view = new Uint32Array(single.buffer)

/** The bits of the f16 nearest to x; of two equally near ones the even one. Beyond 65,504 it is
 *  infinity. */
export function halfBits(x: number): number {
  single[0] = x
  const [f32 = 0] = view
  const sign = (f32 >>> 16) & 0x8000
  const magnitude = f32 & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // rounds to infinity
  if (magnitude < 0x38800000) {
    // subnormal: as many units of 2^-24 as are nearest
    single[0] = Math.abs(x) + 0.5 // the sum rounds to units of 2^-24
    return sign | ((view[0] ?? 0) - 0x3f000000)
  }
  const even = (magnitude >>> 13) & 1
  return sign | ((magnitude - 0x38000000 + 0xfff + even) >>> 13)
}
