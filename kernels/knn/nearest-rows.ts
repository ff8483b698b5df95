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
import { ROOM, boundedKernel } from './bounded-kernel.ts'
import { gemm } from '../matmul/gemm.ts'
import { slice } from '../shape/slice.ts'

// One workgroup per query. It finds the k-th largest key digit by digit, from the highest: it
// counts the keys with each value of a digit, and goes down the values until k keys are reached. If
// more keys equal that one than are taken, it finds the index up to which they count in the same
// way. Exactly k remain, whatever ties there are.
const nearestKernel = kernel`
  override THREADS: u32 = 64u;
  struct Params { n: u32, M: u32, k: u32, indexDigits: u32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<u32>; // [n, M], the bits of f32
  @group(0) @binding(1) var<storage, read>       tags:       array<u32>; // [M]
  @group(0) @binding(2) var<storage, read_write> largest:    array<u32>; // [n, k], the bits of f32
  @group(0) @binding(3) var<storage, read_write> nearest:    array<u32>; // [n, k]
  @group(0) @binding(4) var<uniform>             p:          Params;
  var<workgroup> parts: array<u32, THREADS>;
  var<workgroup> bins: array<atomic<u32>, 256>; // how often each value of a digit occurs
  var<workgroup> place: vec3u; // the value that is reached, how often it is taken, how often it is

  ${orderKey}

  fn clear(thread: u32) {
    workgroupBarrier();
    for (var value = thread; value < 256u; value += THREADS) { atomicStore(&bins[value], 0u); }
    workgroupBarrier();
  }

  // Goes through the values, in falling or in rising order, until wanted are reached.
  fn reach(thread: u32, wanted: u32, falling: bool) -> vec3u {
    workgroupBarrier();
    if (thread == 0u) {
      var left = wanted;
      var step = 0u;
      var value = select(0u, 255u, falling);
      var count = atomicLoad(&bins[value]);
      while (step < 255u && count < left) {
        left -= count;
        step++;
        value = select(step, 255u - step, falling);
        count = atomicLoad(&bins[value]);
      }
      place = vec3u(value, left, count);
    }
    workgroupBarrier();
    return place;
  }

  fn sumBelow(end: u32) -> u32 {
    var sum = 0u;
    for (var i = 0u; i < end; i++) { sum += parts[i]; }
    return sum;
  }

  @compute @workgroup_size(THREADS)
  fn nearestRows(${groupEntry}) {
    let query = group.y * groups.x + group.x;
    if (query >= p.n) { return; }
    let row = query * p.M;
    var least = 0u;
    var known = 0u; // the bits of least that were found
    var at = vec3u(0u, p.k, 0u);
    for (var digit = 0u; digit < 4u; digit++) {
      let shift = 24u - 8u * digit;
      clear(thread);
      for (var m = thread; m < p.M; m += THREADS) {
        let key = keyOf(similarity[row + m]);
        if ((key & known) == least) { atomicAdd(&bins[(key >> shift) & 255u], 1u); }
      }
      at = reach(thread, at.y, true);
      least |= at.x << shift;
      known |= 255u << shift;
    }
    let all = at.y == at.z; // equal keys are all taken
    var last = 0u;
    known = 0u;
    for (var digit = 0u; digit < p.indexDigits; digit++) {
      let shift = 8u * (p.indexDigits - 1u - digit);
      clear(thread);
      if (!all) {
        for (var m = thread; m < p.M; m += THREADS) {
          if ((m & known) == last && keyOf(similarity[row + m]) == least) {
            atomicAdd(&bins[(m >> shift) & 255u], 1u);
          }
        }
      }
      at = reach(thread, at.y, false);
      last |= at.x << shift;
      known |= 255u << shift;
    }
    last = select(last, 0xffffffffu, all);
    var own = 0u;
    for (var m = thread; m < p.M; m += THREADS) {
      let key = keyOf(similarity[row + m]);
      own += select(0u, 1u, key > least || (key == least && m <= last));
    }
    parts[thread] = own;
    workgroupBarrier();
    var to = query * p.k + sumBelow(thread);
    for (var m = thread; m < p.M; m += THREADS) {
      let key = keyOf(similarity[row + m]);
      if (key > least || (key == least && m <= last)) {
        largest[to] = similarity[row + m];
        nearest[to] = tags[m];
        to++;
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
  /** True chooses among the keys above a bound. Takes 8 threads at most and k up to `MOST_BOUNDED`,
   *  and is the default on a CPU adapter for these k. */
  readonly bounded?: boolean
}

/** Largest k that is chosen above a bound: half of the blocks of 8 threads. */
export const MOST_BOUNDED = 4 * ROOM

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
  forward(run, { start, end, k, unsplit = false, ...how }, queries, rows, tags) {
    const [n, M] = [end - start, dim(rows.shape, 0)]
    const { threads: THREADS = threadsOf(run) } = how
    const { bounded = run.software && k <= MOST_BOUNDED && THREADS <= 8 } = how
    const reads = [gemm(run, slice(queries, 0, start, end), rows, { transB: true, unsplit }), tags]
    const makes = [[n, k], { shape: [n, k], dtype: 'i32' }] as const
    const groups = folded(n)
    if (bounded) {
      const params = { n, M, k, blocks: blocksOf(M, k, THREADS) }
      const constants = { THREADS, ROOM, KEPT: ROOM * THREADS }
      return run(boundedKernel, { reads, makes, params, constants, groups })
    }
    const params = { n, M, k, indexDigits: Math.ceil((32 - Math.clz32(M - 1)) / 8) }
    return run(nearestKernel, { reads, makes, params, constants: { THREADS }, groups })
  },
}

/** Blocks of a thread's numbers. With 3 k of them in all, about 1.4 k numbers are candidates; fewer
 *  than 32 save no time. */
const blocksOf = (M: number, k: number, threads: number) =>
  Math.min(ROOM, Math.ceil(M / threads), Math.max(32, Math.ceil((3 * k) / threads)))

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
