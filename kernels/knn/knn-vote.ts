// The vote of the k nearest neighbours, weighted by exp(similarity / temperature): InstDisc,
// https://arxiv.org/abs/1805.01978, section 3.4.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  show,
} from '../op.ts'

// Per class, over its neighbours among the k: largest = max s, votes = Σ exp((s - largest) /
// temperature).
const voteKernel = kernel`
  struct Params { count: u32, classes: u32, k: u32, temperature: f32 }
  @group(0) @binding(0) var<storage, read>       similarity: array<f32>; // [n, k]
  @group(0) @binding(1) var<storage, read>       labels:     array<u32>; // [n, k]
  @group(0) @binding(2) var<storage, read_write> votes:      array<f32>; // [n, classes]
  @group(0) @binding(3) var<storage, read_write> largest:    array<f32>; // [n, classes]
  @group(0) @binding(4) var<uniform>             p:          Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn knnVote(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let first = i / p.classes * p.k;
    let c = i % p.classes;
    var most = -3.4e38;
    for (var j = first; j < first + p.k; j++) {
      if (labels[j] == c) { most = max(most, similarity[j]); }
    }
    var sum = 0.0;
    for (var j = first; j < first + p.k; j++) {
      if (labels[j] == c) { sum += exp((similarity[j] - most) / p.temperature); }
    }
    votes[i] = sum;
    largest[i] = most;
  }
`

interface Attrs {
  readonly temperature: number
  readonly classes: number
}

const knnVoteOp: Op<
  [similarities: Tensor, labels: Tensor],
  [votes: Tensor, largest: Tensor],
  Attrs
> = {
  name: 'knnVote',
  accepts: ['f32', 'i32'],
  shape: votesShape,
  forward(run, { temperature, classes }, similarities, labels) {
    const [n, k] = [dim(labels.shape, 0), dim(labels.shape, 1)]
    const count = n * classes
    const shape = [n, classes]
    return run(voteKernel, {
      reads: [similarities, labels],
      makes: [shape, shape],
      params: { count, classes, k, temperature },
      groups: elementwise(count),
    })
  },
}

function votesShape({ classes }: Attrs, similarities: Shape, labels: Shape): Shape {
  const [n, k] = matrix(similarities, 'knnVote: similarities')
  if (labels.length !== 2 || labels[0] !== n || labels[1] !== k)
    throw new ShapeError(
      `knnVote: there must be one label per similarity, got ${show(labels)} for ${show(similarities)}`,
    )
  return [n, classes]
}

/** Lets the neighbours of n queries vote. Returns votes [n, classes], the sum of exp((s - largest)
 *  / temperature) over a class's similarities s, and largest [n, classes], their maximum (undefined
 *  where votes is 0). similarities [n, k] are the neighbours', labels [n, k] i32 their classes,
 *  from 0 to classes - 1. Carries no gradient. Throws ShapeError unless there is one label per
 *  similarity. */
export function knnVote(
  similarities: Tensor,
  labels: Tensor,
  attrs: Attrs,
): { readonly votes: Tensor; readonly largest: Tensor } {
  const [votes, largest] = similarities.gpu.apply(knnVoteOp, attrs, [similarities, labels])
  return { votes, largest }
}
