// The matrix product on a software adapter: 4 rows x 16 columns a thread. Such an adapter loads
// lane by lane, with a bounds check for each number: a load of four costs as much as 150
// multiply-adds. So all loads are of four, along the sum or across it, as the factor lies in
// memory, and numbers are used often.
//
// a: a thread loads its 4 rows x 4 of the sum.
// b: eight lanes of a subgroup load 4 of the sum x 16 columns in two loads, and broadcast them.
// Products are added in the order of the sum, whatever the layout.
// docs/kernels.md has what was measured.

import { type Kernel, type Run, type Tensor, type Wgsl, folded, kernel, wgsl } from '../op.ts'
import { columnOf } from '../wgsl/column-of.ts'
import { type Gemm, productShape } from './shapes.ts'

const TILE = { rows: 32, columns: 16 } // per workgroup, a subgroup of eight threads

/** The direction in which a factor's numbers lie next to each other. */
type Direction = 'along' | 'across' // the sum

/** The axis along which the product's do; 'none' where fours of them do not. */
type Stored = 'rows' | 'columns' | 'none'

/** `loadRows(at, k)`: of each of k to k + 3 the numbers of four rows, which begin at `at`. */
const rowsOf: Record<Direction, Wgsl> = {
  along: wgsl`
  fn loadRows(at: vec4u, k: u32) -> mat4x4f {
    let four = at + vec4u(k / 4u);
    return transpose(mat4x4f(a[four.x], a[four.y], a[four.z], a[four.w]));
  }`,
  across: wgsl`
  fn fourRows(at: u32, k: u32) -> vec4f {
    return select(vec4f(), a[at + min(k, p.K - 1u) * p.aStep], k < p.K);
  }
  fn loadRows(at: vec4u, k: u32) -> mat4x4f {
    return mat4x4f(
      fourRows(at.x, k), fourRows(at.x, k + 1u), fourRows(at.x, k + 2u), fourRows(at.x, k + 3u),
    );
  }`,
}

/** - `columnsAt(first, lane)`: where the lane's two loads begin, of columns from `first` on;
 *  - `loadColumns(at, k, lane)`: both loads, of k to k + 3;
 *  - `columnOf(own, i)`: these four numbers of column i. */
const columnsOf: Record<Direction, Wgsl> = {
  along: wgsl`
  fn columnsAt(first: u32, lane: u32) -> vec2u {
    return min(vec2u(first + lane % 8u) + vec2u(0u, 8u), vec2u(p.N - 1u)) * p.bStep;
  }
  fn loadColumns(at: vec2u, k: u32, lane: u32) -> mat2x4f {
    return mat2x4f(b[at.x + k / 4u], b[at.y + k / 4u]);
  }
  ${columnOf.along}`,
  across: wgsl`
  fn columnsAt(first: u32, lane: u32) -> vec2u {
    return vec2u(min(first / 4u + lane % 4u, p.N / 4u - 1u));
  }
  fn fourColumns(at: u32, k: u32) -> vec4f {
    return select(vec4f(), b[at + min(k, p.K - 1u) * p.bStep], k < p.K);
  }
  fn loadColumns(at: vec2u, k: u32, lane: u32) -> mat2x4f {
    let own = k + lane % 8u / 4u;
    return mat2x4f(fourColumns(at.x, own), fourColumns(at.y, own + 2u));
  }
  ${columnOf.across}`,
}

/** Stores `sums`, of each column those of four rows. */
const storeOf: Record<Stored, Wgsl> = {
  rows: wgsl`
    for (var i = 0u; i < 16u; i++) {
      if (first < p.M && column + i < p.N) { y[(to + (column + i) * p.yColumn + first) / 4u] = sums[i]; }
    }`,
  columns: wgsl`
    for (var j = 0u; j < 4u; j++) {
      for (var i = 0u; i < 16u; i += 4u) {
        if (first + j < p.M && column + i < p.N) {
          y[(to + (first + j) * p.yRow + column + i) / 4u] =
            vec4f(sums[i][j], sums[i + 1u][j], sums[i + 2u][j], sums[i + 3u][j]);
        }
      }
    }`,
  none: wgsl`
    for (var j = 0u; j < 4u; j++) {
      for (var i = 0u; i < 16u; i++) {
        if (first + j < p.M && column + i < p.N) {
          y[to + (first + j) * p.yRow + (column + i) * p.yColumn] = sums[i][j];
        }
      }
    }`,
}

const sixteen = (of: (i: Wgsl) => Wgsl): Wgsl =>
  Array.from({ length: 16 }, (_, i) => of(`${i}u` as Wgsl)).reduce((x, y) => wgsl`${x}, ${y}`)

const productKernel = (a: Direction, b: Direction, stored: Stored) => kernel`
  enable subgroups;
  struct Params {
    M: u32, N: u32, K: u32, aBatch: u32, aStep: u32, bBatch: u32, bStep: u32, yRow: u32, yColumn: u32,
    biased: u32, batches: u32
  }
  @group(0) @binding(0) var<storage, read>       a:    array<vec4f>; // [batches, M, K] or [batches, K, M]
  @group(0) @binding(1) var<storage, read>       b:    array<vec4f>; // [batches, K, N] or [batches, N, K]
  @group(0) @binding(2) var<storage, read>       bias: array<f32>;   // [N], if biased
  @group(0) @binding(3) var<storage, read_write> y:    array<${stored === 'none' ? wgsl`f32` : wgsl`vec4f`}>; // [batches, M, N], by strides
  @group(0) @binding(4) var<uniform>             p:    Params;
  ${rowsOf[a]}
  ${columnsOf[b]}
  fn addColumn(sum: vec4f, rows: mat4x4f, w: vec4f) -> vec4f {
    let two = fma(rows[1], vec4f(w.y), fma(rows[0], vec4f(w.x), sum));
    return fma(rows[3], vec4f(w.w), fma(rows[2], vec4f(w.z), two));
  }

  @compute @workgroup_size(8)
  fn gemmSoftware(
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let tile = group.y * groups.x + group.x;
    let blocks = (p.N + 15u) / 16u;
    let bands = (p.M + 31u) / 32u;
    let band = tile / blocks;
    let batch = band / bands;
    if (batch >= p.batches) { return; } // a dispatch may have a few more
    let first = (band - batch * bands) * 32u + thread * 4u;
    let column = (tile - band * blocks) * 16u;
    // Rows and columns beyond the last repeat it.
    ${
      a === 'along'
        ? wgsl`let rows = vec4u(first) + vec4u(0u, 1u, 2u, 3u);
    let aAt = vec4u(batch * p.aBatch) + min(rows, vec4u(p.M - 1u)) * p.aStep;`
        : wgsl`let aAt = vec4u(batch * p.aBatch + min(first, p.M - 4u) / 4u);`
    }
    let bAt = vec2u(batch * p.bBatch) + columnsAt(column, lane);

    var sums = array<vec4f, 16>();
    for (var k = 0u; k < p.K; k += 4u) {
      let rows = loadRows(aAt, k);
      let own = loadColumns(bAt, k, lane);
      sums = array<vec4f, 16>(${sixteen(
        (i) => wgsl`
        addColumn(sums[${i}], rows, columnOf(own, ${i}))`,
      )}
      );
    }

    if (p.biased == 1u) {
      let low = bias[min(column + lane % 8u, p.N - 1u)];
      let high = bias[min(column + 8u + lane % 8u, p.N - 1u)];
      for (var i = 0u; i < 8u; i++) {
        sums[i] += vec4f(subgroupShuffle(low, i));
        sums[i + 8u] += vec4f(subgroupShuffle(high, i));
      }
    }
    let to = batch * p.M * p.N;
    ${storeOf[stored]}
  }
`

const kernels = new Map<string, Kernel>()

function kernelFor(a: Direction, b: Direction, stored: Stored): Kernel {
  const key = `${a} ${b} ${stored}`
  const program = kernels.get(key) ?? productKernel(a, b, stored)
  kernels.set(key, program)
  return program
}

/** `gemm`; null unless fours of the factors' numbers lie in a row. */
export function gemmSoftware(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor | null {
  const { transA = false, transB = false, bias = null } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  const inRow = [transA ? M : K, transB ? K : N]
  if (M * N * K === 0 || inRow.some((size) => size % 4 > 0)) return null
  const left = { size: M, ...walk(M, K, transA ? 'across' : 'along'), y: N }
  const right = { size: N, ...walk(N, K, transB ? 'along' : 'across'), y: 1 }
  // y^T = op(b)^T op(a)^T: rows are the factor that wastes fewer threads.
  const swap = !bias && waste(N, M) < waste(M, N)
  const [rows, columns] = swap ? [right, left] : [left, right]
  const stored = N % 4 > 0 ? 'none' : swap ? 'rows' : 'columns'
  const [y] = run(kernelFor(rows.direction, columns.direction, stored), {
    reads: swap ? [b, a, bias ?? b] : [a, b, bias ?? b],
    makes: [shape],
    params: {
      ...{ M: rows.size, aBatch: rows.batch, aStep: rows.step, yRow: rows.y },
      ...{ N: columns.size, bBatch: columns.batch, bStep: columns.step, yColumn: columns.y },
      ...{ K, biased: bias ? 1 : 0, batches },
    },
    groups: folded(
      batches * Math.ceil(rows.size / TILE.rows) * Math.ceil(columns.size / TILE.columns),
    ),
  })
  return y
}

/** A factor's strides in fours: of a batch, and of what it steps over one by one. */
const walk = (size: number, K: number, direction: Direction) => ({
  ...{ direction, batch: (size * K) / 4, step: (direction === 'along' ? K : size) / 4 },
})

/** Sums computed per useful one. */
const waste = (rows: number, columns: number) =>
  (Math.ceil(rows / TILE.rows) * TILE.rows * Math.ceil(columns / TILE.columns) * TILE.columns) /
  (rows * columns)
