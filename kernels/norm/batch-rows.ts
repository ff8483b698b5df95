// How the rows of [M, C] are dealt out to threads, for batch normalisation. A thread takes one channel, or four where C
// allows it, and rows of one split only: of S splits, split s is the samples n with n mod S = s, each of `image` rows, as
// MoCo's CIFAR-10 demo has them. M counts the rows of one split.

import { type Run, type Tensor, dim, elementwise, flatIndex, sizeOf, wgsl } from '../op.ts'
import { widthOf } from '../wgsl/widths.ts'

/** `part(i)`: the rows, the channels and the split of thread i. A thread takes every lanes-th row of its chunk, so that
 *  neighbours read neighbouring numbers even where there are few channels. What it makes has its place in [parts, C].
 *  `rowAt(t, m)`: where row m of its split lies in x; `normAt(t)`: its place in [splits, C]. */
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
    let chunk = index / p.lanes * p.lanes * p.rows;
    let start = chunk + index % p.lanes;
    let end = min(chunk + p.lanes * p.rows, p.M);
    if (start >= end) { return Part(); }
    return Part(start, end, (end - start + p.lanes - 1u) / p.lanes, i % p.C, s);
  }
  fn rowAt(t: Part, m: u32) -> u32 {
    if (!split) { return m; }
    return (m / p.image * p.splits + t.split) * p.image + m % p.image;
  }
  fn normAt(t: Part) -> u32 {
    if (!split) { return t.channel; }
    return t.split * p.C + t.channel;
  }
`

/** Params and constants of `rows` for x [..., C], where a thread takes about `each` rows, the count of parts, and the
 *  dispatch. */
export function deal(x: Tensor, each: number, splits: number) {
  const { M: all, C: channels } = extent(x)
  const [M, C] = [all / splits, channels / widthOf(channels)]
  const lanes = Math.max(1, Math.floor(64 / Math.max(1, C)))
  const parts = Math.max(1, Math.ceil(M / (lanes * each))) * lanes * splits // sums over no rows are 0
  const image = all / Math.max(1, dim(x.shape, 0))
  return {
    params: { M, C, lanes, rows: each, parts, splits, image },
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

/** Rows that one thread sums: 64, or so many more that the threads keep the machine busy and no more. */
export function rowsPerSum(run: Run, x: Tensor): number {
  const { M, C } = extent(x)
  const threads = run.software ? 512 : 65536
  return Math.max(64, Math.ceil((M * C) / widthOf(C) / threads))
}

/** `through(y, value)`: the value where y is positive or NaN, which ReLU lets through (`passes(y)`), else 0. */
export const relu = wgsl`
  fn passes(y: F) -> B {
    let nan = (bitcast<U>(y) & U(0x7fffffffu)) > U(0x7f800000u); // by its bits: max and comparisons may hide it
    return (y > F()) | nan;
  }
  fn through(y: F, value: F) -> F { return select(F(), value, passes(y)); }
`

/** Sums of a value over the parts of a channel. `place(group, groups, thread)` gives a thread its channel and its lane
 *  among the `lanes` that share it, 64, or 1 on a CPU adapter, to which barriers are dear; `total(thread, value)` adds up what
 *  the lanes have, in one order. All threads of the workgroup must call it together. */
export const acrossParts = wgsl`
  override lanes: u32 = 64u;
  var<workgroup> found: array<f32, 64>;
  struct Place { channel: u32, lane: u32 }
  fn place(group: vec3u, groups: vec3u, thread: u32) -> Place {
    return Place((group.y * groups.x + group.x) * (64u / lanes) + thread / lanes, thread % lanes);
  }
  fn total(thread: u32, value: f32) -> f32 {
    if (lanes == 1u) { return value; }
    found[thread] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var k = 0u; k < 64u; k++) { sum += found[k]; }
    workgroupBarrier(); // before the words are written again
    return sum;
  }
`

/** The dispatch of a kernel with `acrossParts` for C channels. */
export const perChannel = (run: Run, C: number) => ({
  constants: { lanes: run.software ? 1 : 64 },
  groups: elementwise(run.software ? C : C * 64),
})
