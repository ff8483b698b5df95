// Limits, comparisons and products with zero that pass NaN on. WGSL's min, max and clamp may return
// either operand when one is NaN, and a compiler may assume that comparisons have no NaN. So the
// bits decide here.

import { wgsl } from '../op.ts'

/** `notANumber(x)`. */
export const notANumber = wgsl`
  fn notANumber(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
`

/** `maximumOf(a, b)`, NaN where either is: IEEE 754-2019's maximum, torch.maximum. */
export const maximumOf = wgsl`
  fn maximumOf(a: f32, b: f32) -> f32 {
    let magnitudes = vec2u(bitcast<u32>(a), bitcast<u32>(b)) & vec2u(0x7fffffffu);
    return select(max(a, b), a + b, any(magnitudes > vec2u(0x7f800000u)));
  }
`

/** `saturated(v)`: finite numbers limited to +-65,504, the range of f16. Infinity and NaN stay. */
export const saturated = wgsl`
  fn saturated(v: vec4f) -> vec4f {
    let finite = (bitcast<vec4u>(v) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
    return select(v, clamp(v, vec4f(-65504.0), vec4f(65504.0)), finite);
  }
`

/** `unitClamp(c)`: limited to [0, 1]. NaN stays NaN, as in torch.clamp. */
export const unitClamp = wgsl`
  fn unitClamp(c: vec3f) -> vec3f {
    let nan = (bitcast<vec3u>(c) & vec3u(0x7fffffffu)) > vec3u(0x7f800000u);
    return select(clamp(c, vec3f(0), vec3f(1)), c, nan);
  }
`

/** `zeroTimes(x)`: 0 x, which is NaN where x is NaN or infinite. The zero has no sign, and a
 *  compiler cannot simplify the product away. */
export const zeroTimes = wgsl`
  fn zeroTimes(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    return select(0.0, bitcast<f32>(bits | 0x7fc00000u), (bits & 0x7f800000u) == 0x7f800000u);
  }
`
