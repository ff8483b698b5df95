// Functions of one element at a time: each op writes its own WGSL, and runs it over one shape.

import { type Kernel, type Run, type Tensor, elementwise, sizeOf, wgsl } from '../op.ts'
import { notANumber } from './nan.ts'

/** Runs a kernel over tensors of one shape; its Params are `count` and what `params` adds. */
export function pointwise(
  run: Run,
  kernel: Kernel,
  reads: readonly [Tensor, ...Tensor[]],
  params: Readonly<Record<string, number>> = {},
): Tensor {
  const [{ shape }] = reads
  const count = sizeOf(shape)
  const [out] = run(kernel, {
    reads,
    makes: [shape],
    params: { count, ...params },
    groups: elementwise(count),
  })
  return out
}

/** `beats(a, b)`: whether a comes before b in a search for the maximum, which a NaN wins, as in torch. */
export const beats = wgsl`
  ${notANumber}
  fn beats(a: f32, b: f32) -> bool { return !notANumber(b) && (notANumber(a) || a > b); }
`

/** `preciseTanh(x)`, to 3e-7 of its value, saturating: WGSL's own may be off by 1e-5 and may
 *  overflow to NaN. The polynomial near 0 is Cephes' (https://netlib.org/cephes/single.tgz, tanhf.c). */
export const preciseTanh = wgsl`
  ${notANumber}
  fn preciseTanh(x: f32) -> f32 {
    if (notANumber(x)) { return x; } // which min would hide
    let size = min(abs(x), 10.0); // tanh(10) rounds to 1
    let s = x * x;
    let q = (((-5.70498872745e-3 * s + 2.06390887954e-2) * s - 5.37397155531e-2) * s + 1.33314422036e-1) * s;
    let far = sign(x) * (1.0 - 2.0 / (exp(2.0 * size) + 1.0));
    return select(far, x + x * s * (q - 3.33332819422e-1), size < 0.625);
  }
`

/** `log1pUnit(x)`: log(1 + x) for x in [0, 1], precise however small x is. WGSL's log near 1 is only good to
 *  5e-7. log(1 + x) = 2 atanh(s) with s = x / (2 + x) <= 1/3, whose series is cut where terms fall below f32.
 *  */
export const log1pUnit = wgsl`
  fn log1pUnit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let q = s * s;
    let tail = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0)))));
    return 2.0 * (s + s * tail);
  }
`

/** `preciseLog(x)`: log(x) to about a unit of its last digit for normal x > 0; WGSL's own is only good to 5e-7 near 1, and some are
 *  off by several units elsewhere. x = 2^e m with m in [0.71, 1.42], and log(m) = 2 atanh(s) with s = (m - 1) / (m + 1),
 *  |s| < 0.172, whose series is cut where terms fall below f32. ln 2 comes in two parts, of which the first is exact times e. */
export const preciseLog = wgsl`
  fn preciseLog(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if (bits < 0x00800000u || bits >= 0x7f800000u) { return log(x); } // no positive normal number
    let e = i32((bits + 0x004afb0du) >> 23u) - 127;
    let f = bitcast<f32>(bits - (u32(e) << 23u)) - 1.0;
    let s = f / (2.0 + f);
    let q = s * s;
    let tail = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q / 11.0))));
    return f32(e) * 0.693145752 + (2.0 * (s + s * tail) + f32(e) * 1.42860677e-6);
  }
`

/** `isSubnormal(x)`: whether 0 < |x| < 2^-126. `enlarged(x)`: 2^64 x of such a number or a larger
 *  one. WGSL lets arithmetic take subnormal numbers for 0, hence by their bits, which stay. */
export const enlarged = wgsl`
  fn isSubnormal(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) - 1u < 0x007fffffu; }
  fn enlarged(x: f32) -> f32 {
    if (!isSubnormal(x)) { return x * 0x1p64f; }
    let bits = bitcast<u32>(x);
    return select(1.0, -1.0, bits >= 0x80000000u) * f32(bits & 0x7fffffffu) * 0x1p-85f;
  }
`
