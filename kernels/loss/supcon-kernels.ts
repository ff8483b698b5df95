// The kernels of the supervised contrastive loss. R rows are V of each view, N of them images.

import { flatIndex, kernel, wgsl } from '../op.ts'
import { weightedSumKernel } from '../similarity/pairs-backward.ts'
import { statisticsKernel } from '../similarity/row-statistics.ts'
import { lowest } from '../wgsl/lowest.ts'
import { zeroTimes } from '../wgsl/nan.ts'
import { preciseLog } from '../wgsl/pointwise.ts'

/** WGSL of `sameClass(own, n, label, m)`: true where rows of images n with the labels `own` have
 *  the class of image m with `label`. A row with the label -1 has only its own image's class. */
const sameClass = wgsl`
  fn sameClass(own: vec4i, n: vec4u, label: i32, m: u32) -> vec4<bool> {
    return (own == vec4i(label)) & ((own != vec4i(-1)) | (n == vec4u(m)));
  }
`

/** Each row's logsumexp over all other rows, and the sum of its positives. */
export const supConStatistics = statisticsKernel(
  wgsl`supConStatistics`,
  wgsl`
  @group(0) @binding(2) var<storage, read>       labels:  array<i32>; // [N]
  @group(0) @binding(3) var<storage, read_write> partial: array<f32>; // [3, blocks, R]
  @group(0) @binding(4) var<uniform>             p:       Params;

  const EXTRA = true;
  fn labelsOf(i: vec4u) -> vec4i {
    let n = min(image(i), vec4u(p.N - 1u));
    return vec4i(labels[n.x], labels[n.y], labels[n.z], labels[n.w]);
  }
  ${sameClass}
  fn counts(i: vec4u, j: u32) -> vec4<bool> {
    return exists(i) & exists(vec4u(j)) & (i != vec4u(j));
  }
  fn extra(i: vec4u, j: u32, s: vec4f) -> vec4f { // the similarities of positives
    let other = image(vec4u(j)).x;
    let same = sameClass(labelsOf(i), image(i), labels[min(other, p.N - 1u)], other);
    return select(vec4f(), s, same & counts(i, j));
  }
`,
)

/** Each row's loss, logsumexp and share of a positive. */
export const supConRows = kernel`
  struct Params { N: u32, view: u32, views: u32, blocks: u32, noIndex: i32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       partial:  array<f32>; // [top | sum | extra, blocks, R]
  @group(0) @binding(1) var<storage, read>       labels:   array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> rowStats: array<f32>; // [loss | lse | 2 / |P|, R]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  ${lowest}
  ${preciseLog}
  ${zeroTimes}
  @compute @workgroup_size(64)
  fn supConRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let rows = p.views * p.view;
    if (i >= rows) { return; }
    let n = select(i, i - p.view, i >= p.view);
    var top = LOWEST;
    for (var b = 0u; b < p.blocks; b++) { top = max(top, partial[b * rows + i]); }
    var sum = 0.0;
    var positives = 0.0;
    for (var b = 0u; b < p.blocks; b++) {
      sum += partial[(p.blocks + b) * rows + i] * exp(partial[b * rows + i] - top);
      positives += partial[(2u * p.blocks + b) * rows + i];
    }
    let lse = top + preciseLog(sum);
    let label = labels[min(n, p.N - 1u)];
    var many = 0u; // rows with the label
    for (var m = 0u; m < p.N; m++) {
      many += select(0u, p.views, labels[m] == label && (label != -1 || m == n));
    }
    let alone = many < 2u; // without positives
    let share = select(1.0 / f32(max(many, 2u) - 1u), 0.0, alone);
    let loss = select(top - positives * share + preciseLog(sum), zeroTimes(sum), alone);
    rowStats[i] = select(select(loss, p.nan, label == p.noIndex), 0.0, n >= p.N);
    rowStats[rows + i] = select(select(lse, 3e38, alone), 0.0, n >= p.N); // weights of 0 if alone
    rowStats[2u * rows + i] = 2.0 * share;
  }
`

/** Each row's gradient, with the weights of all others. */
export const supConGradient = weightedSumKernel(
  wgsl`supConWeightedSum`,
  wgsl`
  @group(0) @binding(3) var<storage, read>       rowStats: array<f32>; // [loss | lse | 2 / |P|, R]
  @group(0) @binding(4) var<storage, read>       labels:   array<i32>; // [N]
  @group(0) @binding(5) var<storage, read_write> partial:  array<Partial>; // [splits, D padded to 8, R]
  @group(0) @binding(6) var<uniform>             p:        Params;

  var<private> lse: vec4f = vec4f();
  var<private> share: vec4f = vec4f();
  var<private> own: vec4i = vec4i();
  ${sameClass}
  fn prepare(i: vec4u) {
    let images = image(i);
    for (var r = 0u; r < 4u; r++) {
      lse[r] = rowStats[p.rows + i[r]];
      share[r] = rowStats[2u * p.rows + i[r]];
      own[r] = labels[min(images[r], p.N - 1u)];
    }
  }
  fn weigh(i: vec4u, j: u32, s: vec4f) -> vec4f {
    let other = image(vec4u(j)).x;
    let same = sameClass(own, image(i), labels[min(other, p.N - 1u)], other);
    let weight = exp(s - lse) + exp(s - rowStats[p.rows + j]) - select(vec4f(), share, same);
    return select(vec4f(), weight, exists(i) & exists(vec4u(j)) & (i != vec4u(j)));
  }
`,
)
