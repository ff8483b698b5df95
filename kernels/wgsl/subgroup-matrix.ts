// Products of 16 x 16 matrices that a subgroup of 32 threads computes together: tensor cores, where
// the device has them (tensor-cores.ts). A device with subgroups of several sizes (AMD: 32 and 64)
// is asked for 32. Factors are f16, sums f32. Tests build the same kernels around an emulation in
// plain WGSL, which verifies their indices, masks and epilogue on any device with f16. Results are
// equal up to the order of sums.
//
// Such a kernel declares the memory that factors are loaded from,
//   var<workgroup> staged: array<vec4<f16>, SIZE>;
// and has workgroups of a multiple of 128 threads. Each 32 consecutive threads are a subgroup.

import { type Kernel, type Wgsl, wgsl } from '../op.ts'

/** WGSL of one way to multiply. The control flow around these functions, and their arguments, must
 *  be the same for a whole subgroup. */
export interface Matrices {
  /** Whether kernels must ask for subgroups of 32, since the device has other sizes. */
  readonly asks: boolean
  /** The finished kernel, which asks for them where it must. */
  finish(of: Kernel): Kernel
  /** Opens the source. */
  readonly head: Wgsl
  /** Parameters of the entry point, `thread`, its number in the workgroup, among them. */
  readonly thread: Wgsl
  /** Opens the entry point's body, in which `subgroup` is the number of this thread's subgroup. */
  readonly begin: Wgsl
  /** The types Left, Right and Sums (`Sums()` are zeros), and, with `at` and `stride` in vec4s:
   *  `leftByRows(at, stride) -> Left`: element (m, k) is staged[at + m * stride + k / 4][k % 4];
   *  `leftByColumns(at, stride) -> Left`: element (m, k) is staged[at + k * stride + m / 4][m % 4];
   *  `rightByRows(at, stride) -> Right`: element (k, n) is staged[at + k * stride + n / 4][n % 4];
   *  `rightByColumns(at, stride) -> Right`: element (k, n) is staged[at + n * stride + k / 4][k %
   *  4]; `multiplyAdd(left, right, sums) -> Sums`, to be called before what was loaded is
   *  overwritten; `scaled(sums, factor) -> Sums`, each sum times a number.
   *  Strides are even, because Vulkan requires rows to begin at multiples of 16 bytes. */
  readonly factors: Wgsl
  /** `spill(at, sums, stride)` stores sum (m, n) at spilled[at + m * stride + n]; after a barrier
   *  any thread can read it. The kernel declares `var<workgroup> spilled: array<f32, SIZE>`.
   *  Strides are multiples of 4. */
  readonly spill: Wgsl
  /** `store(at, sums, stride)` stores sum (m, n) at y[at + m * stride + n / 4][n % 4]. The kernel
   *  declares `var<storage, read_write> y: array<vec4f>`. */
  readonly store: Wgsl
}

/** WGSL for factors in f16x3: v = high + low / 2048 with two f16s. Of the product of two such
 *  numbers all but low times low is summed, which keeps about 22 of f32's 24 bits (Ootomo & Yokota
 *  2022, section 4, https://arxiv.org/abs/2203.03341). Scaling the low part avoids f16's subnormal
 *  numbers. f16's range remains: numbers beyond 65,504 become infinite, and bits of small numbers
 *  below 2^-36 are lost. `high(v) -> vec4<f16>`, `low(v) -> vec4<f16>`. */
export const splitHalves = wgsl`
  // Rounds to 11 bits or multiples of 2^-24. Some compilers take f32(f16(v)) for v, which would
  // make low 0. A number below 2^-14 plus 0.75 is rounded to a multiple of 2^-24. The sum has the
  // bits of 0.5; setting them keeps compilers from taking v + 0.75 - 0.75 for v.
  fn rounded(v: vec4f) -> vec4f {
    let normal = bitcast<vec4f>((bitcast<vec4u>(v) + 0x1000u) & vec4u(0xffffe000u));
    let small = bitcast<vec4f>(bitcast<vec4u>(v + 0.75) | vec4u(0x3f000000u)) - 0.75;
    return select(normal, small, abs(v) < vec4f(0x1p-14f));
  }
  fn high(v: vec4f) -> vec4<f16> { return vec4<f16>(rounded(v)); }
  fn low(v: vec4f) -> vec4<f16> { return vec4<f16>((v - rounded(v)) * 2048.0); }
`

/** `halves`, and, after `factors`, a product with one sum for all parts:
 *  `multiplyAddSplit(leftHigh, leftLow, rightHigh, rightLow, sums)`. */
export const split = wgsl`
  ${splitHalves}
  fn multiplyAddSplit(leftHigh: Left, leftLow: Left, rightHigh: Right, rightLow: Right, sums: Sums) -> Sums {
    // Scaling by powers of two is exact.
    let small = multiplyAdd(leftLow, rightHigh, multiplyAdd(leftHigh, rightLow, scaled(sums, 2048.0)));
    return multiplyAdd(leftHigh, rightHigh, scaled(small, 1.0 / 2048.0));
  }
`
