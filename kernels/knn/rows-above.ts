// The later rows whose dot product with a row reaches a threshold. The matrix of all similarities
// is never stored: the op computes those of a few rows and frees them.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  folded,
  kernel,
  matrix,
  show,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { gemm } from '../matmul/gemm.ts'
import { slice } from '../shape/slice.ts'

// One workgroup per row. Its threads count what they find, then write it side by side, and zeros
// behind it.
const rowsAboveKernel = kernel`
  override THREADS: u32 = 64u;
  struct Params { n: u32, M: u32, room: u32, threshold: f32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<f32>; // [n, M]
  @group(0) @binding(1) var<storage, read_write> counts:     array<i32>; // [n]
  @group(0) @binding(2) var<storage, read_write> found:      array<i32>; // [n, room]
  @group(0) @binding(3) var<storage, read_write> values:     array<f32>; // [n, room]
  @group(0) @binding(4) var<uniform>             p:          Params;
  var<workgroup> parts: array<u32, THREADS>;

  @compute @workgroup_size(THREADS)
  fn rowsAbove(${groupEntry}) {
    let row = group.y * groups.x + group.x;
    if (row >= p.n) { return; }
    var own = 0u;
    for (var m = row + 1u + thread; m < p.M; m += THREADS) {
      own += select(0u, 1u, similarity[row * p.M + m] >= p.threshold);
    }
    parts[thread] = own;
    workgroupBarrier();
    var before = 0u;
    var all = 0u;
    for (var i = 0u; i < THREADS; i++) {
      before += select(0u, parts[i], i < thread);
      all += parts[i];
    }
    if (thread == 0u) { counts[row] = i32(all); }
    for (var m = row + 1u + thread; m < p.M; m += THREADS) {
      let s = similarity[row * p.M + m];
      if (s >= p.threshold && before < p.room) {
        found[row * p.room + before] = i32(m);
        values[row * p.room + before] = s;
        before++;
      }
    }
    for (var i = all + thread; i < p.room; i += THREADS) {
      found[row * p.room + i] = 0;
      values[row * p.room + i] = 0.0;
    }
  }
`

interface Attrs {
  /** The rows, from `start` up to, not including, `end`. */
  readonly start: number
  readonly end: number
  readonly threshold: number
  /** Most rows found for each. */
  readonly room: number
}

const rowsAboveOp: Op<[rows: Tensor], [counts: Tensor, found: Tensor, values: Tensor], Attrs> = {
  name: 'rowsAbove',
  accepts: ['f32'],
  shape: rowsAboveShape,
  forward(run, { start, end, threshold, room }, rows) {
    const [n, M] = [end - start, dim(rows.shape, 0) - start]
    const later = slice(rows, 0, start, start + M)
    const similarity = gemm(run, slice(rows, 0, start, end), later, { transB: true, unsplit: true })
    return run(rowsAboveKernel, {
      reads: [similarity],
      makes: [{ shape: [n], dtype: 'i32' }, { shape: [n, room], dtype: 'i32' }, [n, room]],
      params: { n, M, room, threshold },
      constants: { THREADS: run.software ? 8 : 64 },
      groups: folded(n),
    })
  },
}

function rowsAboveShape({ start, end, room }: Attrs, rows: Shape): Shape {
  const [M] = matrix(rows, 'rowsAbove: rows')
  if (!(start >= 0 && start < end && end <= M))
    throw new ShapeError(`rowsAbove: ${start} to ${end} does not lie in rows ${show(rows)}`)
  if (!(room >= 1)) throw new ShapeError(`rowsAbove: room must be at least 1, got ${room}`)
  return [end - start]
}

/** Finds, for each of the rows start .. end of [M, D], the later rows whose dot product with it is
 *  at least `threshold`. Returns their counts [n], and of the first `room` of each row, in any
 *  order, the offset from `start` and the dot product [n, room], zeros behind them. Carries no
 *  gradient. Throws ShapeError. */
export function rowsAbove(rows: Tensor, attrs: Attrs) {
  const [counts, found, values] = rows.gpu.apply(rowsAboveOp, attrs, [rows])
  return { counts, found, values }
}
