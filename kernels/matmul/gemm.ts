// Matrix product, batched, of operands given by strides, so that a transpose costs nothing but another pair of numbers.
// Each thread sums 4 rows x 8 columns in registers, without barriers.

import { type Run, type Tensor, elementwise, kernel, sizeOf } from '../op.ts'
import { gemmTiled } from './gemm-tiled.ts'
import { sharing, threadsFor } from '../wgsl/broadcast-load.ts'
import { type Gemm, productShape } from './product-shape.ts'

const MOST_BATCHES = 4096 // of the tiled product, whose workgroups along z they are
const ROWS = 4 // per thread
const COLUMNS = 8

const gemmKernel = sharing(
  ({ head, lane, eight }) => kernel`
  ${head}
  struct Params {
    M: u32, N: u32, K: u32, aBatch: u32, aRow: u32, aColumn: u32, bBatch: u32, bRow: u32, bColumn: u32,
    yRow: u32, yColumn: u32, biased: u32, batches: u32
  }
  @group(0) @binding(0) var<storage, read>       a:       array<f32>; // [batches, M, K], by strides
  @group(0) @binding(1) var<storage, read>       factors: array<f32>; // b [batches, K, N], by strides
  @group(0) @binding(2) var<storage, read>       bias:    array<f32>; // [N], if biased
  @group(0) @binding(3) var<storage, read_write> y:       array<f32>; // [batches, M, N], by strides
  @group(0) @binding(4) var<uniform>             p:       Params;
  override threads: u32 = 64u;
  ${eight}

  @compute @workgroup_size(threads)
  fn gemm(${lane}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let tile = group.y * groups.x + group.x;
    let blocks = (p.N + 7u) / 8u;
    let bands = (p.M + 4u * threads - 1u) / (4u * threads);
    let band = tile / blocks;
    let last = band / bands;
    let batch = min(last, p.batches - 1u); // a dispatch may end with tiles too many
    let first = ((band - last * bands) * threads + lane) * 4u;
    let column = (tile - band * blocks) * 8u;
    share(neighbor, column, p.N, p.bColumn);
    // Rows past the end repeat the last; columns too, and those are stored there once more.
    var start = array<u32, 4>();
    for (var j = 0u; j < 4u; j++) { start[j] = batch * p.aBatch + min(first + j, p.M - 1u) * p.aRow; }

    var sums = array<array<f32, 8>, 4>();
    for (var k = 0u; k < p.K; k++) {
      let numbers = eight(batch * p.bBatch + k * p.bRow);
      for (var j = 0u; j < 4u; j++) {
        let value = a[start[j] + k * p.aColumn];
        for (var i = 0u; i < 8u; i++) { sums[j][i] = fma(value, numbers[i], sums[j][i]); }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      if (first + j < p.M && last == batch) {
        let to = batch * p.M * p.N + (first + j) * p.yRow;
        for (var i = 0u; i < 8u; i++) {
          let n = min(column + i, p.N - 1u);
          y[to + n * p.yColumn] = sums[j][i] + select(0.0, bias[n], p.biased == 1u);
        }
      }
    }
  }
`,
)

export { type Gemm, productShape }

/** op(a) op(b) + bias, where op transposes the last two dimensions if asked to; the caller has checked the shapes. */
export function gemm(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor {
  const { transA = false, transB = false, bias = null } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  if (!run.software && M * N * K > 0 && batches <= MOST_BATCHES) return gemmTiled(run, a, b, options)
  const left = { size: M, batch: M * K, along: transA ? 1 : K, sum: transA ? M : 1, y: N }
  const right = { size: N, batch: K * N, along: transB ? K : 1, sum: transB ? 1 : N, y: 1 }
  // y^T = op(b)^T op(a)^T: the operand that fills the lanes better becomes the rows.
  const swap = !bias && waste(N, M) < waste(M, N)
  const [rows, columns] = swap ? [right, left] : [left, right]
  const params = {
    ...{ M: rows.size, aBatch: rows.batch, aRow: rows.along, aColumn: rows.sum },
    ...{ N: columns.size, bBatch: columns.batch, bRow: columns.sum, bColumn: columns.along },
    ...{ K, yRow: rows.y, yColumn: columns.y, biased: bias ? 1 : 0, batches },
  }
  const threads = threadsFor(run)
  const tiles = batches * Math.ceil(rows.size / ROWS / threads) * Math.ceil(columns.size / COLUMNS)
  const [y] = run(gemmKernel(run), {
    reads: swap ? [b, a, bias ?? b] : [a, b, bias ?? b],
    makes: [shape],
    params,
    constants: { threads },
    groups: elementwise(sizeOf(shape) === 0 ? 0 : tiles * 64),
  })
  return y
}

/** Multiplications that the tiles make per useful one: eight lanes of four rows run together, by eight columns. */
const waste = (rows: number, columns: number) =>
  (Math.ceil(rows / 32) * 32 * Math.ceil(columns / COLUMNS) * COLUMNS) / (rows * columns)
