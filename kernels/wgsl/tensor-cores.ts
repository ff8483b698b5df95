// Subgroup matrices as WGSL has them, in Chromium's experimental extension.

import { wgsl } from '../op.ts'
import type { Matrices } from './subgroup-matrix.ts'

const plain: Matrices = {
  asks: false,
  finish: (of) => of,
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

const asking: Matrices = {
  ...plain,
  asks: true,
  head: wgsl`
    enable subgroup_size_control;
    ${plain.head}
  `,
  finish: (of) => ({
    ...of,
    source: of.source.replace('@compute', '@compute @subgroup_size(32)'),
  }),
}

/** The matrices of a device. `chooses`: it has subgroups of several sizes, and is asked for 32. */
export const tensorCores = (chooses: boolean): Matrices => (chooses ? asking : plain)
