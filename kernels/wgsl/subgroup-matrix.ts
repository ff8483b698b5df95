// Products of 16 x 16 matrices that a subgroup of 32 threads computes together: tensor cores, where
// the device has them. A device with subgroups of several sizes (AMD: 32 and 64) is asked for 32.
// Factors are f16, sums f32. A kernel built around `Matrices` runs on such a device. Tests run it
// on any other device with f16: there the same text is compiled around an emulation in plain WGSL,
// which verifies its indices, masks and epilogue. Results are equal up to the order of sums.
//
// Such a kernel declares the memory that factors are loaded from,
//   var<workgroup> staged: array<vec4<f16>, SIZE>;
// and has workgroups of a multiple of 128 threads. Each 32 consecutive threads are a subgroup.

import { type Kernel, type Run, type Wgsl, wgsl } from '../op.ts'

/** WGSL of one way to multiply. The control flow around these functions, and their arguments, must
 *  be the same for a whole subgroup. */
export interface Matrices {
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

const onTensorCores: Matrices = {
  head: wgsl`
    enable f16;
    enable subgroups;
    enable chromium_experimental_subgroup_matrix;
  `,
  thread: wgsl`@builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32`,
  begin: wgsl``,
  factors: wgsl`
    alias Left = subgroup_matrix_left<f16, 16, 16>;
    alias Right = subgroup_matrix_right<f16, 16, 16>;
    alias Sums = subgroup_matrix_result<f32, 16, 16>;
    fn leftByRows(at: u32, stride: u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&staged, at, stride); }
    fn leftByColumns(at: u32, stride: u32) -> Left { return subgroupMatrixLoad<Left, col_major>(&staged, at, stride); }
    fn rightByRows(at: u32, stride: u32) -> Right { return subgroupMatrixLoad<Right, row_major>(&staged, at, stride); }
    fn rightByColumns(at: u32, stride: u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&staged, at, stride); }
    fn multiplyAdd(left: Left, right: Right, sums: Sums) -> Sums {
      return subgroupMatrixMultiplyAccumulate(left, right, sums);
    }
    fn scaled(sums: Sums, factor: f32) -> Sums { return subgroupMatrixScalarMultiply(sums, factor); }
  `,
  spill: wgsl`
    fn spill(at: u32, sums: Sums, stride: u32) { subgroupMatrixStore<row_major>(&spilled, at, sums, stride); }
  `,
  store: wgsl`
    fn store(at: u32, sums: Sums, stride: u32) { subgroupMatrixStore<row_major>(&y, at, sums, stride); }
  `,
}

// A thread holds half a row of the sums. A factor is an address, read when it is multiplied.
const emulation: Matrices = {
  head: wgsl`enable f16;`,
  thread: wgsl`@builtin(local_invocation_index) thread: u32`,
  begin: wgsl`
    let subgroup = thread / 32u;
    sumRow = thread % 32u / 2u;
    sumColumn = thread % 2u * 8u;
  `,
  factors: wgsl`
    var<private> sumRow: u32 = 0u;
    var<private> sumColumn: u32 = 0u;
    struct Left { at: u32, row: u32, column: u32 } // its start and the strides of rows and columns, in f16s
    struct Right { at: u32, row: u32, column: u32 }
    struct Sums { own: array<f32, 8> }
    fn leftByRows(at: u32, stride: u32) -> Left { return Left(at * 4u, stride * 4u, 1u); }
    fn leftByColumns(at: u32, stride: u32) -> Left { return Left(at * 4u, 1u, stride * 4u); }
    fn rightByRows(at: u32, stride: u32) -> Right { return Right(at * 4u, stride * 4u, 1u); }
    fn rightByColumns(at: u32, stride: u32) -> Right { return Right(at * 4u, 1u, stride * 4u); }
    fn f16At(at: u32) -> f32 { return f32(staged[at / 4u][at % 4u]); }
    fn multiplyAdd(left: Left, right: Right, sums: Sums) -> Sums {
      var next = sums;
      for (var k = 0u; k < 16u; k++) {
        let value = f16At(left.at + sumRow * left.row + k * left.column);
        for (var i = 0u; i < 8u; i++) {
          next.own[i] = fma(value, f16At(right.at + k * right.row + (sumColumn + i) * right.column), next.own[i]);
        }
      }
      return next;
    }
    fn scaled(sums: Sums, factor: f32) -> Sums {
      var next = sums;
      for (var i = 0u; i < 8u; i++) { next.own[i] *= factor; }
      return next;
    }
  `,
  spill: wgsl`
    fn spill(at: u32, sums: Sums, stride: u32) {
      for (var i = 0u; i < 8u; i++) { spilled[at + sumRow * stride + sumColumn + i] = sums.own[i]; }
    }
  `,
  store: wgsl`
    fn store(at: u32, sums: Sums, stride: u32) {
      let to = at + sumRow * stride + sumColumn / 4u;
      y[to] = vec4f(sums.own[0], sums.own[1], sums.own[2], sums.own[3]);
      y[to + 1u] = vec4f(sums.own[4], sums.own[5], sums.own[6], sums.own[7]);
    }
  `,
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

/** The kernel that `make` builds around the machine's subgroup matrices. Call it only where
 *  `useMatrices`. */
export function onMatrices(make: (by: Matrices) => Kernel): (run: Run) => Kernel {
  const [real, emulated] = [make(onTensorCores), make(emulation)]
  const asking = inSubgroupsOf32(real)
  return (run) => (run.emulated ? emulated : run.choosesSubgroups ? asking : real)
}

/** The same kernel for a device with subgroups of several sizes: it asks for 32 threads. */
const inSubgroupsOf32 = (of: Kernel): Kernel => ({
  ...of,
  source: `enable subgroup_size_control;
${of.source.replace('@compute', '@compute @subgroup_size(32)')}`,
})

/** Whether products use subgroup matrices: the device has them and the precision allows f16
 *  factors. */
export const useMatrices = (run: Run): boolean => run.matrices && run.precision !== 'f32'
