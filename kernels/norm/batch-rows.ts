// Partitions the rows of [M, C] over threads, for batch normalisation. A thread takes one channel,
// or four where C is a multiple of four, and rows of one split. Of S splits, split s is the samples
// n with n mod S = s, as in MoCo's CIFAR-10 demo; or in turn, the samples s N / S to (s + 1) N / S.
// `image` counts the rows that lie together: a sample's, or all of a split. M counts the rows of
// one split.

import { type Run, type Tensor, dim, elementwise, flatIndex, sizeOf, wgsl } from '../op.ts'
import { widthOf } from '../wgsl/widths.ts'

/** Members of `struct Params` that `rows` reads. */
export const rowParams = wgsl`
    M: u32, C: u32, interleave: u32, rows: u32, parts: u32, splits: u32, image: u32`

/** `part(i) -> Part`: rows, channels and split of thread i, whose result is element i of [parts,
 *  C]. A thread takes every `interleave`-th row of a chunk, so that neighbouring threads read
 *  neighbouring numbers even where there are few channels.
 *  `rowAt(t, m)`: the row of x that is row m of the split; `statsAt(t)`: the offset in [splits,
 *  C]. */
export const rows = wgsl`
  override split: bool = false;
  struct Part { start: u32, end: u32, count: u32, channel: u32, split: u32 }
  ${flatIndex}
  fn part(i: u32) -> Part {
    var index = i / p.C;
    var s = 0u;
    if (split) {
      let own = p.parts / p.splits;
      s = index / own;
      index %= own;
    }
    let chunk = index / p.interleave * p.interleave * p.rows;
    let start = chunk + index % p.interleave;
    let end = min(chunk + p.interleave * p.rows, p.M);
    if (start >= end) { return Part(); }
    return Part(start, end, (end - start + p.interleave - 1u) / p.interleave, i % p.C, s);
  }
  fn rowAt(t: Part, m: u32) -> u32 {
    if (!split) { return m; }
    return (m / p.image * p.splits + t.split) * p.image + m % p.image;
  }
  fn statsAt(t: Part) -> u32 {
    if (!split) { return t.channel; }
    return t.split * p.C + t.channel;
  }
`

/** Opens the body of a kernel with `rows` that binds `stats`. Declares the thread's number `i` and
 *  part `t`, and the `mean` and `scale`, 1 / deviation, of the part's channel. */
export const partPrologue = wgsl`
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[statsAt(t)];
    let scale = stats[p.splits * p.C + statsAt(t)];`

/** The groups of samples that are normalised by statistics of their own. */
export interface Splits {
  readonly splits: number
  /** Whether they lie one behind another, as batches of their own; else sample by sample. */
  readonly inTurn: boolean
}

/** Params, constants and workgroups of a kernel with `rows` for x [..., C], whose threads take
 *  about `each` rows, and the number of parts. */
export function partitionRows(x: Tensor, each: number, { splits, inTurn }: Splits) {
  const { M: all, C: channels } = extent(x)
  const [M, C] = [all / splits, channels / widthOf(channels)]
  const interleave = Math.max(1, Math.floor(64 / Math.max(1, C)))
  const parts = Math.max(1, Math.ceil(M / (interleave * each))) * interleave * splits // sums over no rows are 0
  const image = inTurn ? M : all / Math.max(1, dim(x.shape, 0))
  return {
    params: { M, C, interleave, rows: each, parts, splits, image },
    constants: { split: Number(splits > 1) },
    parts,
    groups: elementwise(parts * C),
  }
}

/** x [..., C] as [M, C]. */
export function extent({ shape }: Tensor): { readonly M: number; readonly C: number } {
  const C = dim(shape, shape.length - 1)
  return { M: sizeOf(shape) / C, C }
}

/** Rows that one thread sums: at least 64, and more where fewer threads still occupy the device. */
export function rowsPerSum(run: Run, x: Tensor): number {
  const { M, C } = extent(x)
  const threads = run.software ? 512 : 65536
  return Math.max(64, Math.ceil((M * C) / widthOf(C) / threads))
}

/** Sums over the parts of a channel. `channelOf(group, groups, thread)` is the thread's channel,
 *  and its number among the threads of that channel: 64, or 1 on software adapters, where barriers
 *  are slow. `channelTotal(thread, value)` sums over these threads in a fixed order, so results are
 *  reproducible. The whole workgroup must call it together. */
export const acrossParts = wgsl`
  override threadsPerChannel: u32 = 64u;
  var<workgroup> partials: array<f32, 64>;
  struct Channel { channel: u32, member: u32 }
  fn channelOf(group: vec3u, groups: vec3u, thread: u32) -> Channel {
    return Channel(
      (group.y * groups.x + group.x) * (64u / threadsPerChannel) + thread / threadsPerChannel,
      thread % threadsPerChannel);
  }
  fn channelTotal(thread: u32, value: f32) -> f32 {
    if (threadsPerChannel == 1u) { return value; }
    partials[thread] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var k = 0u; k < 64u; k++) { sum += partials[k]; }
    workgroupBarrier(); // before the memory is written again
    return sum;
  }
`

/** The dispatch of a kernel with `acrossParts` for C channels. */
export const perChannel = (run: Run, C: number) => ({
  constants: { threadsPerChannel: run.software ? 1 : 64 },
  groups: elementwise(run.software ? C : C * 64),
})
