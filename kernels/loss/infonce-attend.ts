// One pass of queries over a queue, like attention's forward. Each workgroup takes some queries
// and one split of the queue. It keeps (top, sum) of exp(s - top) and Σ exp(s - top) queue_j, and
// rescales both when a larger similarity appears. The kernels that read the splits combine them in
// order.

import { type Run, type Scalar, type Tensor, folded, kernel, matrix } from '../op.ts'
import { lowest } from '../wgsl/lowest.ts'
import { splitColumns } from '../similarity/split-columns.ts'
import { pairTiles, toColumns } from '../similarity/tiles.ts'

const attendKernel = pairTiles(
  ({ head, entry, prologue, score, weightedSum }) => kernel`
  ${head}
  struct Params { rows: u32, D: u32, columns: u32, along: u32, sum: u32, scale: f32, span: u32 }
  @group(0) @binding(0) var<storage, read>       rows:       array<Rows>; // q [C, rows]
  @group(0) @binding(1) var<storage, read>       columns:    array<Columns>; // queue [K, C]
  @group(0) @binding(2) var<storage, read>       values:     array<f32>; // queue [K, C]
  @group(0) @binding(3) var<storage, read_write> statistics: array<f32>; // [top | sum, splits, rows]
  @group(0) @binding(4) var<storage, read_write> partial:    array<Partial>; // [splits, C padded to 8, rows]
  @group(0) @binding(5) var<uniform>             p:          Params;
  ${score}
  ${weightedSum}
  ${lowest}
  override inBatch: bool = false; // row n of the queue is query n's own key, not a negative
  var<workgroup> exchanged: array<vec4f, THREADS>;

  fn counts(n: vec4u, j: u32) -> vec4<bool> {
    return vec4<bool>(j < p.columns) & (vec4<bool>(!inBatch) | (n != vec4u(j)));
  }

  // The largest, and the sum, over the threads that share a group of rows.
  fn most(own: vec4f) -> vec4f {
    exchanged[thread] = own;
    fence();
    var top = own;
    for (var s = 0u; s < SLICES; s++) { top = max(top, exchanged[groupOf(thread) + s * GROUPS]); }
    fence();
    return top;
  }
  fn total(own: vec4f) -> vec4f {
    exchanged[thread] = own;
    fence();
    var sum = vec4f();
    for (var s = 0u; s < SLICES; s++) { sum += exchanged[groupOf(thread) + s * GROUPS]; }
    fence();
    return sum;
  }

  @compute @workgroup_size(THREADS)
  fn infonceAttend(
    ${entry}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  ) {
    ${prologue}
    let row = (group.y * groups.x + group.x) * ROWS;
    if (row >= p.rows) { return; } // a dispatch may have a few tiles more
    let begin = group.z * p.span;
    let own = groupOf(thread);
    let n = vec4u(row + own * 4u) + vec4u(0u, 1u, 2u, 3u);
    var top = vec4f(LOWEST);
    var sum = vec4f();
    for (var column = begin; column < min(begin + p.span, p.columns); column += COLUMNS) {
      score(row, column, subgroup);
      var highest = top;
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        highest = select(highest, max(highest, tileAt(c, own)), counts(n, column + c));
      }
      highest = most(highest);
      var more = vec4f();
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        let weight = select(vec4f(), exp(tileAt(c, own) - highest), counts(n, column + c));
        setTile(c, own, weight);
        more += weight;
      }
      let rescale = exp(top - highest);
      sum = sum * rescale + total(more);
      top = highest;
      let at = group.z * ((p.D + 7u) / 8u * 8u) * p.rows;
      addWeightedSum(row, column, at, column == begin, rescale, subgroup);
    }
    if (thread < GROUPS) {
      for (var r = 0u; r < 4u; r++) {
        let at = group.z * p.rows + row + own * 4u + r;
        statistics[at] = top[r];
        statistics[groups.z * p.rows + at] = sum[r];
      }
    }
  }
`,
  toColumns,
)

/** Compares unit queries qT [C, rows], padded, with a queue [K, C], at the scale 1 / T. Returns
 *  `statistics` [top | sum, splits, rows] and `partial` [splits, C padded to 8, rows], the weighted
 *  sums of the queue's rows. */
export function attend(
  run: Run,
  qT: Tensor,
  queue: Tensor,
  { scale, inBatch }: { readonly scale: Scalar; readonly inBatch: boolean },
) {
  const [C, rows] = matrix(qT.shape, 'infoNce: q')
  const [K] = matrix(queue.shape, 'infoNce: queue')
  const paddedC = Math.ceil(C / 8) * 8
  const size = { rows, columns: K, enough: 512, makes: paddedC * rows, mostBytes: 1 << 25 }
  const { tiles, splits, span } = splitColumns(run, size)
  const [statistics, partial] = run(attendKernel(run), {
    reads: [qT, queue, queue],
    makes: [
      [2, splits, rows],
      [splits, paddedC, rows],
    ],
    params: { rows, D: C, columns: K, along: C, sum: 1, scale, span },
    constants: { inBatch: Number(inBatch) },
    groups: [...folded(tiles), splits],
  })
  return { statistics, partial, splits }
}
