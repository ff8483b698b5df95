// The matrix product without workgroup memory or barriers: each thread sums 4 rows x 8 columns in
// registers. Operands are read by strides, so a transpose costs nothing.
// Runs where the other kernels do not suit (gemm.ts).

import { type Run, type Tensor, elementwise, kernel, sizeOf } from '../op.ts'
import { byFragmentLoad, threadsFor } from '../wgsl/fragment-load.ts'
import { type Gemm, productShape } from './shapes.ts'

const ROWS = 4 // per thread
const COLUMNS = 8

const gemmKernel = byFragmentLoad(
  ({ head, thread, fragment }) => kernel`
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
  ${fragment}

  @compute @workgroup_size(threads)
  fn gemmGeneric(${thread}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let tile = group.y * groups.x + group.x;
    let blocks = (p.N + 7u) / 8u;
    let bands = (p.M + 4u * threads - 1u) / (4u * threads);
    let band = tile / blocks;
    let last = band / bands;
    let batch = min(last, p.batches - 1u); // the dispatch may have more tiles than needed
    let first = ((band - last * bands) * threads + thread) * 4u;
    let column = (tile - band * blocks) * 8u;
    selectFragment(lane, column, p.N, p.bColumn);
    // Rows and columns past the end repeat the last one. Such columns store it again.
    let start = batch * p.aBatch + min(first + vec4u(0u, 1u, 2u, 3u), vec4u(p.M - 1u)) * p.aRow;

    var low0 = vec4f(); var low1 = vec4f(); var low2 = vec4f(); var low3 = vec4f(); // columns 0 to 3
    var high0 = vec4f(); var high1 = vec4f(); var high2 = vec4f(); var high3 = vec4f(); // and 4 to 7
    for (var k = 0u; k < p.K; k++) {
      let at = start + k * p.aColumn;
      let v = vec4f(a[at.x], a[at.y], a[at.z], a[at.w]);
      let w = loadFragment(batch * p.bBatch + k * p.bRow);
      low0 = fma(v.xxxx, w.low, low0); high0 = fma(v.xxxx, w.high, high0);
      low1 = fma(v.yyyy, w.low, low1); high1 = fma(v.yyyy, w.high, high1);
      low2 = fma(v.zzzz, w.low, low2); high2 = fma(v.zzzz, w.high, high2);
      low3 = fma(v.wwww, w.low, low3); high3 = fma(v.wwww, w.high, high3);
    }

    let sums = array<Eight, 4>(
      Eight(low0, high0), Eight(low1, high1), Eight(low2, high2), Eight(low3, high3),
    );
    for (var j = 0u; j < 4u; j++) {
      if (first + j < p.M && last == batch) {
        let to = batch * p.M * p.N + (first + j) * p.yRow;
        for (var i = 0u; i < 8u; i++) {
          let n = min(column + i, p.N - 1u);
          y[to + n * p.yColumn] = numberOf(sums[j], i) + select(0.0, bias[n], p.biased == 1u);
        }
      }
    }
  }
`,
)

/** `gemm` for operands of any size, on any adapter. */
export function gemmGeneric(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor {
  const { transA = false, transB = false, bias = null } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  const left = { size: M, batch: M * K, along: transA ? 1 : K, sum: transA ? M : 1, y: N }
  const right = { size: N, batch: K * N, along: transB ? K : 1, sum: transB ? 1 : N, y: 1 }
  // y^T = op(b)^T op(a)^T: rows are the operand that wastes fewer threads.
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

/** Multiplications computed per useful one, where eight threads of 4 rows run together and each
 *  takes 8 columns. */
const waste = (rows: number, columns: number) =>
  (Math.ceil(rows / 32) * 32 * Math.ceil(columns / COLUMNS) * COLUMNS) / (rows * columns)
