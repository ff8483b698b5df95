// Runs kernels of one thread per element, and WGSL functions of one number.

import {
  type Dispatch,
  type Kernel,
  type Make,
  type Run,
  type Scalar,
  type Tensor,
  elementwise,
  sizeOf,
  wgsl,
} from '../op.ts'
import { notANumber } from './nan.ts'

/** Makes a tensor by a kernel of one thread per element, or per `width` elements. The kernel's
 *  Params are `count`, the number of threads, and those in `params`. */
export function perElement(
  run: Run,
  kernel: Kernel,
  make: Make,
  {
    params,
    width = 1,
    ...bound
  }: Pick<Dispatch<[]>, 'reads' | 'params' | 'constants'> & { readonly width?: number },
): Tensor {
  const count = sizeOf('shape' in make ? make.shape : make) / width
  const [out] = run(kernel, {
    ...bound,
    makes: [make],
    params: { count, ...params },
    groups: elementwise(count),
  })
  return out
}

/** `perElement` over tensors of one shape, which the result has too. */
export const pointwise = (
  run: Run,
  kernel: Kernel,
  reads: readonly [Tensor, ...Tensor[]],
  params: Readonly<Record<string, Scalar>> = {},
): Tensor => perElement(run, kernel, reads[0].shape, { reads, params })

/** `beats(a, b)`: whether a replaces b in a search for the maximum. NaN wins, as in torch. */
export const beats = wgsl`
  ${notANumber}
  fn beats(a: f32, b: f32) -> bool { return !notANumber(b) && (notANumber(a) || a > b); }
`

/** `preciseTanh(x)`: tanh to 3e-7 of its value. WGSL's own may be off by 1e-5 and may overflow to
 *  NaN. The polynomial near 0 is Cephes' (https://netlib.org/cephes/single.tgz, tanhf.c). */
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

/** `log1pUnit(x)`: log(1 + x) for x in [0, 1], precise for small x; WGSL's log is good to 5e-7 near
 *  1. log(1 + x) = 2 atanh(s), s = x / (2 + x) <= 1/3. The series ends where terms are below f32's
 *  precision. */
export const log1pUnit = wgsl`
  fn log1pUnit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let q = s * s;
    let tail = q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0)))));
    return 2.0 * (s + s * tail);
  }
`

/** `preciseLog(x)`: log(x) to about one unit in the last place, for normal x > 0. WGSL's log is
 *  good to 5e-7 near 1, and on some devices several units off elsewhere.
 *  x = 2^e m, m in [0.71, 1.42]; log(m) = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172. The
 *  series ends where terms are below f32's precision. ln 2 is the sum of two numbers; e times the
 *  first is exact. */
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

/** `isSubnormal(x)`: whether 0 < |x| < 2^-126. `enlarged(x)`: 2^64 x. WGSL allows arithmetic to
 *  take subnormal numbers for 0, so both read their bits. */
export const enlarged = wgsl`
  fn isSubnormal(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) - 1u < 0x007fffffu; }
  fn enlarged(x: f32) -> f32 {
    if (!isSubnormal(x)) { return x * 0x1p64f; }
    let bits = bitcast<u32>(x);
    return select(1.0, -1.0, bits >= 0x80000000u) * f32(bits & 0x7fffffffu) * 0x1p-85f;
  }
`
