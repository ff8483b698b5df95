// The vote of the k nearest neighbours, weighted by exp(similarity / temperature): InstDisc, https://arxiv.org/abs/1805.01978,
// section 3.4. No matrix of all similarities is kept: the op makes those of a few queries and lets them go.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  folded,
  kernel,
  matrix,
  show,
} from './op.ts'
import { matmul } from './matmul.ts'
import { slice } from './slice.ts'

// One workgroup per query. The k-th largest key is found bit by bit, counting how many keys reach a candidate; then, in
// the same way, the index up to which keys equal to it are taken. Exactly k remain, whatever ties there are.
const nearestKernel = kernel`
  override THREADS: u32 = 64u;
  struct Params { n: u32, M: u32, k: u32, indexBits: u32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<u32>; // [n, M], the bits of f32
  @group(0) @binding(1) var<storage, read_write> nearest:    array<u32>; // [n, k]
  @group(0) @binding(2) var<uniform>             p:          Params;
  var<workgroup> parts: array<u32, THREADS>;

  // Orders like the number; -0 is 0, and a NaN comes first so that it is not overlooked.
  fn keyOf(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return 0xff800001u; } // one above that of +infinity
    return select(0x80000000u + magnitude, 0x80000000u - magnitude, bits != magnitude);
  }

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

  // How many keys from low to high stand before index end.
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
  fn knnNearest(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
  ) {
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
        nearest[at] = m;
        at++;
      }
    }
  }
`

// The vote for a class: largest = max s, votes = sum exp((s - largest) / temperature) over its neighbours among the k.
const voteKernel = kernel`
  struct Params { count: u32, classes: u32, M: u32, k: u32, temperature: f32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<f32>; // [n, M]
  @group(0) @binding(1) var<storage, read>       nearest:    array<u32>; // [n, k]
  @group(0) @binding(2) var<storage, read>       labels:     array<u32>; // [M]
  @group(0) @binding(3) var<storage, read_write> votes:      array<f32>; // [n, classes]
  @group(0) @binding(4) var<storage, read_write> largest:    array<f32>; // [n, classes]
  @group(0) @binding(5) var<uniform>             p:          Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn knnVote(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let query = i / p.classes;
    let c = i % p.classes;
    var most = -3.4e38;
    for (var j = 0u; j < p.k; j++) {
      let m = nearest[query * p.k + j];
      if (labels[m] == c) { most = max(most, similarity[query * p.M + m]); }
    }
    var sum = 0.0;
    for (var j = 0u; j < p.k; j++) {
      let m = nearest[query * p.k + j];
      if (labels[m] == c) { sum += exp((similarity[query * p.M + m] - most) / p.temperature); }
    }
    votes[i] = sum;
    largest[i] = most;
  }
`

interface Attrs {
  /** The queries to judge: from `start` up to, not including, `end`. */
  readonly start: number
  readonly end: number
  readonly k: number
  readonly temperature: number
  readonly classes: number
  /** Threads that look for the nearest of one query: 64, on a CPU adapter 8, unless told. */
  readonly threads?: number
}

const knnVoteOp: Op<
  [queries: Tensor, features: Tensor, labels: Tensor],
  [votes: Tensor, largest: Tensor],
  Attrs
> = {
  name: 'knnVote',
  accepts: ['f32', 'f32', 'i32'],
  shape: votesShape,
  forward(run, { start, end, k, temperature, classes, threads }, queries, features, labels) {
    const [n, M] = [end - start, dim(features.shape, 0)]
    const similarity = matmul(slice(queries, 0, start, end), features, { transB: true })
    const [nearest] = run(nearestKernel, {
      reads: [similarity],
      makes: [{ shape: [n, k], dtype: 'i32' }],
      params: { n, M, k, indexBits: 32 - Math.clz32(M - 1) },
      constants: { THREADS: threads ?? (run.software ? 8 : 64) }, // a CPU runs the threads one vector at a time
      groups: folded(n),
    })
    const count = n * classes
    return run(voteKernel, {
      reads: [similarity, nearest, labels],
      makes: [
        [n, classes],
        [n, classes],
      ],
      params: { count, classes, M, k, temperature },
      groups: elementwise(count),
    })
  },
}

function votesShape(
  { start, end, k, classes }: Attrs,
  queries: Shape,
  features: Shape,
  labels: Shape,
): Shape {
  const [Q, D] = matrix(queries, 'knn: queries')
  const [M, width] = matrix(features, 'knn: features')
  if (D !== width)
    throw new ShapeError(`knn: widths differ, features ${show(features)} and queries ${show(queries)}`)
  if (labels.length !== 1 || labels[0] !== M)
    throw new ShapeError(
      `knn: there must be one label per feature, got ${show(labels)} for ${show(features)}`,
    )
  if (!(k >= 1 && k <= M)) throw new ShapeError(`knn: k must be from 1 to ${M}, got ${k}`)
  if (!(start >= 0 && start < end && end <= Q))
    throw new ShapeError(`knn: ${start} to ${end} does not lie in queries ${show(queries)}`)
  return [end - start, classes]
}

/** What the k nearest features say of queries start .. end: votes [n, classes], the sum of exp((s - largest) / temperature)
 *  over a class's similarities s among the k largest, and largest [n, classes], their maximum. Where votes is 0, largest
 *  means nothing. queries [Q, D] and features [M, D] are unit rows, labels [M] is i32, each from 0 to classes - 1. Of equal
 *  similarities the lowest indices come first. No gradient flows. Throws ShapeError. */
export function knnVote(
  queries: Tensor,
  features: Tensor,
  labels: Tensor,
  attrs: Attrs,
): { readonly votes: Tensor; readonly largest: Tensor } {
  const [votes, largest] = queries.gpu.apply(knnVoteOp, attrs, [queries, features, labels])
  return { votes, largest }
}
