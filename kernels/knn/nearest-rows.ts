// The k rows nearest to each query, by dot product. The matrix of all similarities is never
// stored: the op computes those of a few queries and frees them.

import {
  type Op,
  type Run,
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
import { orderKey } from '../wgsl/order-key.ts'
import { gemm } from '../matmul/gemm.ts'
import { slice } from '../shape/slice.ts'

// One workgroup per query. It finds the k-th largest key bit by bit, counting the keys that reach
// a candidate. In the same way it finds the index up to which equal keys count. Exactly k remain,
// whatever ties there are.
const nearestKernel = kernel`
  override THREADS: u32 = 64u;
  struct Params { n: u32, M: u32, k: u32, indexBits: u32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<u32>; // [n, M], the bits of f32
  @group(0) @binding(1) var<storage, read>       tags:       array<u32>; // [M]
  @group(0) @binding(2) var<storage, read_write> largest:    array<u32>; // [n, k], the bits of f32
  @group(0) @binding(3) var<storage, read_write> nearest:    array<u32>; // [n, k]
  @group(0) @binding(4) var<uniform>             p:          Params;
  var<workgroup> parts: array<u32, THREADS>;

  ${orderKey}

  fn share(thread: u32, own: u32) {
    workgroupBarrier();
    parts[thread] = own;
    workgroupBarrier();
  }

  fn sumBelow(end: u32) -> u32 {
    var sum = 0u;
    for (var i = 0u; i < end; i++) { sum += parts[i]; }
    return sum;
  }

  // Counts the keys from low to high before index end.
  fn count(thread: u32, row: u32, low: u32, high: u32, end: u32) -> u32 {
    var own = 0u;
    for (var m = thread; m < end; m += THREADS) {
      let key = keyOf(similarity[row + m]);
      own += select(0u, 1u, key >= low && key <= high);
    }
    share(thread, own);
    return sumBelow(THREADS);
  }

  @compute @workgroup_size(THREADS)
  fn nearestRows(${groupEntry}) {
    let query = group.y * groups.x + group.x;
    if (query >= p.n) { return; }
    let row = query * p.M;
    var least = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
      let candidate = least | (0x80000000u >> bit);
      if (count(thread, row, candidate, 0xffffffffu, p.M) >= p.k) { least = candidate; }
    }
    let ties = p.k - count(thread, row, least + 1u, 0xffffffffu, p.M);
    var last = 0u;
    for (var bit = 0u; bit < p.indexBits; bit++) {
      let candidate = last | (1u << (p.indexBits - 1u - bit));
      if (count(thread, row, least, least, min(candidate, p.M)) < ties) { last = candidate; }
    }
    var own = 0u;
    for (var m = thread; m < p.M; m += THREADS) {
      let key = keyOf(similarity[row + m]);
      own += select(0u, 1u, key > least || (key == least && m <= last));
    }
    share(thread, own);
    var at = query * p.k + sumBelow(thread);
    for (var m = thread; m < p.M; m += THREADS) {
      let key = keyOf(similarity[row + m]);
      if (key > least || (key == least && m <= last)) {
        largest[at] = similarity[row + m];
        nearest[at] = tags[m];
        at++;
      }
    }
  }
`

interface Attrs {
  /** The queries, from `start` up to, not including, `end`. */
  readonly start: number
  readonly end: number
  readonly k: number
  /** True computes each similarity in one sum, independent of the number of rows. */
  readonly unsplit?: boolean
  /** Threads per query. By default 64, or 8 on a CPU adapter. */
  readonly threads?: number
}

/** Threads per query. A CPU runs them one vector at a time. */
const threadsOf = ({ software }: Pick<Run, 'software'>) => (software ? 8 : 64)

/** Returns the order in which `nearestRows` writes rows: each thread writes every `threads`-th. */
export const writtenBefore = (run: Pick<Run, 'software'>) => {
  const threads = threadsOf(run)
  return (a: number, b: number) => (a % threads) - (b % threads) || a - b
}

const nearestOp: Op<
  [queries: Tensor, rows: Tensor, tags: Tensor],
  [similarities: Tensor, tags: Tensor],
  Attrs
> = {
  name: 'nearestRows',
  accepts: ['f32', 'f32', 'i32'],
  shape: nearestShape,
  forward(run, { start, end, k, unsplit = false, threads }, queries, rows, tags) {
    const [n, M] = [end - start, dim(rows.shape, 0)]
    const similarity = gemm(run, slice(queries, 0, start, end), rows, { transB: true, unsplit })
    return run(nearestKernel, {
      reads: [similarity, tags],
      makes: [[n, k], { shape: [n, k], dtype: 'i32' }],
      params: { n, M, k, indexBits: 32 - Math.clz32(M - 1) },
      constants: { THREADS: threads ?? threadsOf(run) },
      groups: folded(n),
    })
  },
}

function nearestShape({ start, end, k }: Attrs, queries: Shape, rows: Shape, tags: Shape): Shape {
  const [Q, D] = matrix(queries, 'nearestRows: queries')
  const [M, width] = matrix(rows, 'nearestRows: rows')
  if (D !== width)
    throw new ShapeError(
      `nearestRows: widths differ, rows ${show(rows)} and queries ${show(queries)}`,
    )
  if (tags.length !== 1 || tags[0] !== M)
    throw new ShapeError(
      `nearestRows: there must be one tag per row, got ${show(tags)} for ${show(rows)}`,
    )
  if (!(k >= 1 && k <= M)) throw new ShapeError(`nearestRows: k must be from 1 to ${M}, got ${k}`)
  if (!(start >= 0 && start < end && end <= Q))
    throw new ShapeError(`nearestRows: ${start} to ${end} does not lie in queries ${show(queries)}`)
  return [end - start, k]
}

/** Finds the k of rows [M, D] with the largest dot products with each of the queries start .. end
 *  of [Q, D]. Returns their similarities [n, k] and their tags [n, k], i32 numbers [M] of the
 *  caller, such as labels or indices, in the order of `writtenBefore`. Of equal similarities the
 *  lowest indices are taken; NaN comes before any number. Carries no gradient. Throws
 *  ShapeError. */
export function nearestRows(
  queries: Tensor,
  rows: Tensor,
  tags: Tensor,
  attrs: Attrs,
): { readonly similarities: Tensor; readonly tags: Tensor } {
  const [similarities, nearest] = queries.gpu.apply(nearestOp, attrs, [queries, rows, tags])
  return { similarities, tags: nearest }
}
