// Split-K's second half: adds the partial sums of several workgroups in a fixed order, so that two
// runs give the same bits.

import {
  type DType,
  type Run,
  type Shape,
  type Tensor,
  type Wgsl,
  dim,
  folded,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import {
  type LastStep,
  type FinishKind,
  finishName,
  lastStep,
  otherOf,
  readsOther,
} from './finish.ts'
import { byStorage } from './storage.ts'
import { byWidth, widthOf } from './widths.ts'

const common = wgsl`
  override members: u32 = 1u;
  var<workgroup> sums: array<F, 64>;
  // The element of a thread, of a workgroup's 64 / members.
  fn elementOf(group: u32, thread: u32) -> u32 { return group * (64u / members) + thread % (64u / members); }
  fn memberOf(thread: u32) -> u32 { return thread / (64u / members); }
  fn overMembers(own: F, thread: u32) -> F {
    var sum = own;
    if (members > 1u) {
      sums[thread] = sum;
      workgroupBarrier();
      for (var m = 1u; m < members; m++) { sum += sums[min(thread + m * (64u / members), 63u)]; }
    }
    return sum;
  }
`

// `sum_<of>(i, count, splits, member)`: a member's share of element i. Eight loads are under way at
// a time: a compiler does not unroll a loop to a number that it does not know, and would wait for
// each. Many parts are shared among `members` threads, whose sums are then added in order.
const sumOf = (of: Wgsl) => wgsl`
  fn sum_${of}(i: u32, count: u32, splits: u32, member: u32) -> F {
    var sum = F();
    for (var eight = 0u; eight < (splits + members * 8u - 1u) / (members * 8u); eight++) {
      var parts = array<F, 8>();
      for (var e = 0u; e < 8u; e++) {
        let split = (eight * 8u + e) * members + member;
        if (split < splits && i < count) { parts[e] = ${of}[split * count + i]; }
      }
      for (var e = 0u; e < 8u; e++) { sum += parts[e]; }
    }
    return sum;
  }
`

const entry = wgsl`
    @builtin(workgroup_id) at: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,`

const sumKernel = (kind: FinishKind) =>
  byStorage(
    (types) => kernel`
  struct Params { count: u32, splits: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       partial: array<F>; // [splits, count]
  ${readsOther(kind) ? wgsl`@group(0) @binding(1) var<storage, read> other: array<S>; // [count]` : wgsl``}
  @group(0) @binding(${readsOther(kind) ? wgsl`2` : wgsl`1`}) var<storage, read_write> out:     array<S>; // [count]
  @group(0) @binding(${readsOther(kind) ? wgsl`3` : wgsl`2`}) var<uniform>             p:       Params;
  ${common}
  ${sumOf(wgsl`partial`)}
  ${lastStep(kind)}
  @compute @workgroup_size(64)
  fn sumSplits${finishName(kind)}(${entry}) {
    let i = elementOf(at.y * groups.x + at.x, thread);
    let member = memberOf(thread);
    let sum = overMembers(sum_partial(i, p.count, p.splits, member), thread);
    if (i < p.count && member == 0u) {
      out[i] = narrow(lastStep(sum, ${readsOther(kind) ? wgsl`widen(other[i])` : wgsl`sum`}));
    }
  }
`,
  )

const sumKernels = new Map(
  ([null, 'rectify', 'mask', 'add'] as const).map((kind) => [kind, sumKernel(kind)]),
)

const twoKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32, splits: u32, groups: u32, nextCount: u32, nextSplits: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       partial: array<F>; // [splits, count]
  @group(0) @binding(1) var<storage, read>       next:    array<F>; // [nextSplits, nextCount]
  @group(0) @binding(2) var<storage, read_write> out:     array<F>; // [count]
  @group(0) @binding(3) var<storage, read_write> nextOut: array<F>; // [nextCount]
  @group(0) @binding(4) var<uniform>             p:       Params;
  ${common}
  ${sumOf(wgsl`partial`)}
  ${sumOf(wgsl`next`)}
  @compute @workgroup_size(64)
  fn sumTwoSplits(${entry}) {
    let group = at.y * groups.x + at.x;
    let member = memberOf(thread);
    let first = group < p.groups;
    let i = elementOf(select(group - p.groups, group, first), thread);
    var own = F();
    if (first) { own = sum_partial(i, p.count, p.splits, member); }
    else { own = sum_next(i, p.nextCount, p.nextSplits, member); }
    let sum = overMembers(own, thread);
    if (member > 0u) { return; }
    if (first && i < p.count) { out[i] = sum; }
    if (!first && i < p.nextCount) { nextOut[i] = sum; }
  }
`,
)

const MEMBERS = 16 // of many parts

/** The threads that share an element's parts. They change no bits of 16 parts or fewer. */
const membersFor = (splits: number) => (splits > MEMBERS ? MEMBERS : 1)

/** Partial sums [splits, ...out] and the shape of their sum. */
export interface Partial {
  readonly partial: Tensor
  readonly out: Shape
}

/** The sum of partial sums [splits, ...out] -> out, with a last step, stored as `dtype`, f32 by
 *  default; a view of it where there is only one and nothing else to do. */
export function sumSplits(
  run: Run,
  partial: Tensor,
  out: Shape,
  {
    dtype = 'f32',
    finish = null,
  }: { readonly dtype?: DType; readonly finish?: LastStep | null } = {},
): Tensor {
  const splits = dim(partial.shape, 0)
  const make = sumKernels.get(finish?.how ?? null)
  if (!make || (splits === 1 && dtype === 'f32' && !finish)) return run.view(partial, out)
  const size = sizeOf(out)
  const other = otherOf(finish)
  const count = size / widthOf(size)
  const members = membersFor(splits)
  const [sum] = run(make({ dtype }, size), {
    reads: other ? [partial, other] : [partial],
    makes: [{ shape: out, dtype }],
    params: { count, splits },
    constants: { members },
    groups: folded(Math.ceil((count * members) / 64)),
  })
  return sum
}

/** Two such sums, by one dispatch where both have several parts, with the bits of `sumSplits`. */
export function sumTwoSplits(run: Run, one: Partial, two: Partial): [one: Tensor, two: Tensor] {
  const [splits, nextSplits] = [dim(one.partial.shape, 0), dim(two.partial.shape, 0)]
  const [size, next] = [sizeOf(one.out), sizeOf(two.out)]
  const width = Math.min(widthOf(size), widthOf(next))
  if (splits === 1 || nextSplits === 1)
    return [sumSplits(run, one.partial, one.out), sumSplits(run, two.partial, two.out)]
  const members = membersFor(Math.max(splits, nextSplits))
  const groupsOf = (count: number) => Math.ceil((count / width) * (members / 64))
  const [a, b] = run(twoKernel(width), {
    reads: [one.partial, two.partial],
    makes: [one.out, two.out],
    params: {
      ...{ count: size / width, splits, groups: groupsOf(size) },
      ...{ nextCount: next / width, nextSplits },
    },
    constants: { members },
    groups: folded(groupsOf(size) + groupsOf(next)),
  })
  return [a, b]
}
