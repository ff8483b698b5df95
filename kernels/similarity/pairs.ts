// What the losses over all pairs of rows have in common: the layout of the rows and their scaling
// to unit length. Two views z1, z2 [N, D] become 2V rows, where V is N padded to whole tiles. The
// views of image n are the rows n and V + n. One set z [N, D] becomes V rows. R stands for either
// number of rows. Similarities are s_ij = z_i·z_j / T. row-statistics.ts reduces each row's
// similarities, and pairs-backward.ts computes the gradients of the views.

import { LEAST_TEMPERATURE } from '../limits.ts'
import {
  type Run,
  type Scalar,
  type Shape,
  type Tensor,
  ShapeError,
  derive,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  show,
  wgsl,
} from '../op.ts'
import { unitRow } from '../wgsl/unit-row.ts'
import { padded } from './tiles.ts'
import { checkOptions, checkValue, describe, flag, scalar } from '../options.ts'

/** The layout of one view or two. */
export interface Pairs {
  readonly views: 1 | 2
  readonly N: number
  readonly D: number
  /** Rows per view, padded: V. */
  readonly view: number
  readonly T: Scalar
  /** True where a row is compared only with rows of the other view. */
  readonly across: boolean
}

/** Checks the shapes of two views and the temperature. Throws ShapeError, RangeError. */
export function pairsOf(name: string, T: Scalar, z1: Shape, z2: Shape, across: boolean): Pairs {
  matrix(z1, `${name}: z1`)
  if (z1.join() !== z2.join())
    throw new ShapeError(
      `${name}: the two views must have one shape, got ${show(z1)} and ${show(z2)}`,
    )
  return { ...setOf(name, T, z1), views: 2, across }
}

/** The layout of one set of rows [N, D]. Throws like `pairsOf`. */
export function setOf(name: string, T: Scalar, z: Shape): Pairs {
  const [N, D] = matrix(z, `${name}: z`)
  if (N === 0 || D === 0)
    throw new ShapeError(`${name}: needs at least one row and one feature, got ${show(z)}`)
  checkTemperature(name, currentTemperature(name, T))
  return { views: 1, N, D, view: padded(N), T, across: false }
}

/** Number of rows, padding included: R. */
export const rowsOf = ({ views, view }: Pairs): number => views * view

/** The temperature of this step. Throws TypeError for a function that needs an argument, such as a
 *  schedule. */
export const currentTemperature = (name: string, T: Scalar): number =>
  typeof T === 'function' ? checkValue(name, 'the temperature', T, scalar)() : T

/** Throws RangeError unless the temperature is a positive number whose reciprocal f32 has. */
export function checkTemperature(name: string, T: number, what = 'the temperature') {
  if (!(typeof T === 'number' && T > 0 && Number.isFinite(T)))
    throw new RangeError(`${name}: ${what} must be a positive number, got ${describe(T)}`)
  if (T < LEAST_TEMPERATURE)
    throw new RangeError(
      `${name}: ${what} must be at least 2^-126 (about 1.2e-38), as f32 has no reciprocal of less, got ${T}`,
    )
}

/** The unit rows of all views. */
export interface UnitRows {
  /** [R, D] */
  readonly z: Tensor
  /** [D, R] */
  readonly zT: Tensor
  /** 1 / length of each row [R]. */
  readonly scale: Tensor
}

const unitKernel = kernel`
  struct Params { N: u32, D: u32, view: u32, rows: u32, normalized: u32 }
  @group(0) @binding(0) var<storage, read>       z1:    array<f32>; // [N, D]
  @group(0) @binding(1) var<storage, read>       z2:    array<f32>; // [N, D]
  @group(0) @binding(2) var<storage, read_write> z:     array<f32>; // [R, D], unit rows or zero
  @group(0) @binding(3) var<storage, read_write> zT:    array<f32>; // [D, R]
  @group(0) @binding(4) var<storage, read_write> scale: array<f32>; // [R], 1 / length, or 0
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${flatIndex}
  ${unitRow}
  fn given(row: u32, c: u32) -> f32 {
    if (row < p.view) { return z1[row * p.D + c]; }
    return z2[(row - p.view) * p.D + c];
  }
  @compute @workgroup_size(64)
  fn pairsUnit(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let row = flat(id, groups);
    if (row >= p.rows) { return; }
    let exists = row % p.view < p.N;
    var square = 0.0;
    if (exists) {
      for (var c = 0u; c < p.D; c++) { square += given(row, c) * given(row, c); }
    }
    let length = sqrt(square);
    let s = unitScale(length, p.normalized == 1u);
    scale[row] = unitGradientScale(length, p.normalized == 1u);
    for (var c = 0u; c < p.D; c++) {
      var value = 0.0;
      if (exists) { value = given(row, c) * s; }
      z[row * p.D + c] = value;
      zT[c * p.rows + row] = value;
    }
  }
`

/** Scales the rows of z1 and z2 [N, D] to unit length; of z1 alone, given twice, where there is one
 *  view. `normalized` rows have it already. */
export function unitRows(
  run: Run,
  z1: Tensor,
  z2: Tensor,
  pairs: Pairs,
  normalized: boolean,
): UnitRows {
  const { N, D, view } = pairs
  const rows = rowsOf(pairs)
  const [z, zT, scale] = run(unitKernel, {
    reads: [z1, z2],
    makes: [[rows, D], [D, rows], [rows]],
    params: { N, D, view, rows, normalized: Number(normalized) },
    groups: elementwise(rows),
  })
  return { z, zT, scale }
}

/** Options of losses that normalise rows. */
export interface Unit {
  /** True if rows have unit length already. */
  readonly normalized?: boolean
}

/** Returns the option `normalized`. Throws TypeError for any other option. */
export const isUnit = (name: string, options: Unit): boolean =>
  checkOptions(name, options, { normalized: flag }).normalized ?? false

/** WGSL of the Params of kernels over pairs: those of tiles, N, view (V), across, and the number of
 *  blocks, `span` rows each. Declares `image(i)` and `exists(i)`. */
export const pairParams = wgsl`
  struct Params {
    N: u32, view: u32, rows: u32, D: u32, columns: u32, along: u32, sum: u32, scale: f32,
    across: u32, blocks: u32, span: u32
  }
  // The image that a row shows; N and above for padding. (Remainders are slow on a CPU adapter.)
  fn image(i: vec4u) -> vec4u { return i - select(vec4u(), vec4u(p.view), i >= vec4u(p.view)); }
  fn exists(i: vec4u) -> vec4<bool> { return image(i) < vec4u(p.N); }
`

/** Values of `pairParams`, except blocks and span. */
export const pairsParams = (pairs: Pairs) => {
  const { N, D, view, T, across } = pairs
  const rows = rowsOf(pairs)
  return {
    ...{ N, view, D, rows, columns: rows, along: 1, sum: rows },
    ...{ scale: derive(T, (t) => 1 / t), across: Number(across) },
  }
}
