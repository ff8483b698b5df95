// Split-K's second half: adds the partial sums of several workgroups in a fixed order, so that two
// runs give the same bits.

import { type Run, type Shape, type Tensor, dim, folded, flatIndex, kernel, sizeOf } from '../op.ts'
import { byWidth, widthOf } from './widths.ts'

// Eight loads are under way at a time: a compiler does not unroll a loop to a number that it does
// not know, and would wait for each. Many parts are shared among `members` threads, whose sums are
// then added in order.
const sumKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32, splits: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       partial: array<F>; // [splits, count]
  @group(0) @binding(1) var<storage, read_write> out:     array<F>; // [count]
  @group(0) @binding(2) var<uniform>             p:       Params;
  override members: u32 = 1u;
  var<workgroup> sums: array<F, 64>;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sumSplits(
    @builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
  ) {
    let i = (flat(id, groups) - thread) / members + thread % (64u / members);
    let member = thread / (64u / members);
    var sum = F();
    for (var eight = 0u; eight < (p.splits + members * 8u - 1u) / (members * 8u); eight++) {
      var parts = array<F, 8>();
      for (var e = 0u; e < 8u; e++) {
        let split = (eight * 8u + e) * members + member;
        if (split < p.splits && i < p.count) { parts[e] = partial[split * p.count + i]; }
      }
      for (var e = 0u; e < 8u; e++) { sum += parts[e]; }
    }
    if (members > 1u) {
      sums[thread] = sum;
      workgroupBarrier();
      for (var m = 1u; m < members; m++) { sum += sums[min(thread + m * (64u / members), 63u)]; }
    }
    if (i < p.count && member == 0u) { out[i] = sum; }
  }
`,
)

const MEMBERS = 16 // of many parts

/** The sum of partial sums [splits, ...out] -> out; a view of it where there is only one. */
export function sumSplits(run: Run, partial: Tensor, out: Shape): Tensor {
  const splits = dim(partial.shape, 0)
  if (splits === 1) return run.view(partial, out)
  const size = sizeOf(out)
  const count = size / widthOf(size)
  const members = splits > MEMBERS ? MEMBERS : 1
  const [sum] = run(sumKernel(size), {
    reads: [partial],
    makes: [out],
    params: { count, splits },
    constants: { members },
    groups: folded(Math.ceil((count * members) / 64)),
  })
  return sum
}
