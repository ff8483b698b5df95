// Backward of the losses over pairs: dz_i = Σ_j w_ij z_j. The weights are recomputed from the
// similarities tile by tile, so that no [R, R] matrix is stored. The sums then go through the
// backward of the normalisation to the two views.

import {
  type Kernel,
  type Run,
  type Scalar,
  type Tensor,
  type Wgsl,
  folded,
  kernel,
  wgsl,
} from '../op.ts'
import { splitColumns } from './split-columns.ts'
import { type Pairs, type UnitRows, pairParams, pairsParams, rowsOf } from './pairs.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { eightRows, rowwise } from '../wgsl/rowwise.ts'
import { fourRows, pairTiles } from './tiles.ts'

const weightedSumOfRows = wgsl`
  ${fourRows}
  fn weightedSumOfRows(item: u32, split: u32, subgroup: u32) {
    let row = item * ROWS;
    if (row >= p.rows) { return; } // a dispatch may have a few tiles more
    let group = groupOf(thread);
    let i = fourRows(row + group * 4u);
    prepare(i);
    let other = select(p.view, 0u, row >= p.view);
    let first = select(0u, other, p.across == 1u);
    let end = select(p.rows, other + p.view, p.across == 1u);
    let begin = first + split * p.span;
    for (var column = begin; column < min(begin + p.span, end); column += COLUMNS) {
      score(row, column, subgroup);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        setTile(c, group, weigh(i, column + c, tileAt(c, group)));
      }
      fence();
      let at = split * ((p.D + 7u) / 8u * 8u) * p.rows;
      addWeightedSum(row, column, at, column == begin, vec4f(1.0), subgroup);
    }
  }
`

/** The kernel `name` of
 *    partial[split] [D, R] = Σ_j weigh(i, j, s_ij) z_j over one split of the columns
 *  It binds rows, columns and values. `weights` declares the other bindings, from 3 on: what the
 *  loss reads, `partial` [splits, D padded to 8, R] and the Params `p`; `prepare(i)`, called
 *  once; and `weigh(i, j, s)`, 0 where i or j is padding. */
export const weightedSumKernel = (name: Wgsl, weights: Wgsl) =>
  pairTiles(
    ({ head, entry, prologue, score, weightedSum }) => kernel`
  ${head}
  @group(0) @binding(0) var<storage, read>       rows:     array<Rows>; // [D, R]
  @group(0) @binding(1) var<storage, read>       columns:  array<Columns>; // [D, R]
  @group(0) @binding(2) var<storage, read>       values:   array<f32>; // [R, D]
  ${pairParams}
  ${score}
  ${weightedSum}
  ${weights}
  ${weightedSumOfRows}

  @compute @workgroup_size(THREADS)
  fn ${name}(
    ${entry}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  ) {
    ${prologue}
    weightedSumOfRows(group.y * groups.x + group.x, group.z, subgroup);
  }
`,
  )

const unitBackwardKernel = kernel`
  struct Params {
    N: u32, D: u32, view: u32, rows: u32, splits: u32, factor: f32, normalized: u32
  }
  @group(0) @binding(0) var<storage, read>       zT:      array<f32>; // [D, R]
  @group(0) @binding(1) var<storage, read>       scale:   array<f32>; // [R]
  @group(0) @binding(2) var<storage, read>       partial: array<f32>; // [splits, D padded to 8, R]
  @group(0) @binding(3) var<storage, read>       dloss:   array<f32>; // []
  @group(0) @binding(4) var<storage, read_write> dz1:     array<f32>; // [N, D]
  @group(0) @binding(5) var<storage, read_write> dz2:     array<f32>; // [N, D]; one number of no use for one view
  @group(0) @binding(6) var<uniform>             p:       Params;
  ${rowwise}
  fn weightedSum(row: u32, c: u32) -> f32 {
    let size = (p.D + 7u) / 8u * 8u * p.rows;
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) {
      sum += partial[split * size + c * p.rows + row];
    }
    return sum;
  }
  // Through the normalisation: dx = (dz - (dz·z) z) / |x|
  @compute @workgroup_size(64)
  fn pairsUnitBackward(${groupEntry}) {
    let row = rowOf(group, groups, thread);
    var along = 0.0;
    for (var c = sliceOf(thread); c < p.D; c += 8u) {
      along += weightedSum(row, c) * zT[c * p.rows + row];
    }
    along = select(rowSum(thread, along), 0.0, p.normalized == 1u);
    let weight = dloss[0] * scale[row] * p.factor;
    let second = row >= p.view;
    let n = select(row, row - p.view, second);
    if (n >= p.N) { return; }
    for (var c = sliceOf(thread); c < p.D; c += 8u) {
      let value = (weightedSum(row, c) - along * zT[c * p.rows + row]) * weight;
      if (second) { dz2[n * p.D + c] = value; } else { dz1[n * p.D + c] = value; }
    }
  }
`

/** Runs a `weightedSumKernel`, then the backward of the normalisation. Returns the gradients of z1
 *  and, where there are two views, of z2 [N, D]. */
export function pairsBackward(
  run: Run,
  kernelFor: (run: Run) => Kernel,
  pairs: Pairs,
  { z, zT, scale }: UnitRows,
  { reads, dloss, factor, normalized }: LossBackward,
): readonly [dz1: Tensor, dz2: Tensor] {
  const { N, D, view, views, across } = pairs
  const rows = rowsOf(pairs)
  const shape = [N, D]
  const paddedD = Math.ceil(D / 8) * 8
  const { tiles, splits, span } = splitColumns(run, {
    ...{ rows, columns: across ? view : rows, enough: 1024 },
    ...{ makes: paddedD * rows, mostBytes: 1 << 26 },
  })
  const [partial] = run(kernelFor(run), {
    reads: [zT, zT, z, ...reads],
    makes: [[splits, paddedD, rows]],
    params: { ...pairsParams(pairs), blocks: splits, span },
    groups: [...folded(tiles), splits],
  })
  return run(unitBackwardKernel, {
    reads: [zT, scale, partial, dloss],
    makes: [shape, views === 2 ? shape : [1]],
    params: { N, D, view, rows, splits, factor, normalized: Number(normalized) },
    groups: eightRows(rows),
  })
}

interface LossBackward {
  /** Bound after rows, columns and values. */
  readonly reads: readonly Tensor[]
  /** The loss's cotangent, []. */
  readonly dloss: Tensor
  /** Factor of the sums. */
  readonly factor: Scalar
  readonly normalized: boolean
}
