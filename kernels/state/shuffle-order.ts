// A random order of N rows and its inverse, computed on the GPU. Row n draws a number from
// Threefry. Its rank is how many rows drew a smaller one: a pure function of (seed, step, offset,
// N).

import {
  type Op,
  type Scalar,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
} from '../op.ts'
import { streamKey, threefry } from '../wgsl/threefry.ts'
import { checkOptions, checkTensor } from '../options.ts'
import { seedAndStep, seedRule } from '../seeds.ts'

const STREAM = 0x5f1e // keeps these draws apart from other uses of the seed

const drawKernel = kernel`
  struct Params { N: u32, offset: u32, key0: u32, key1: u32 }
  @group(0) @binding(0) var<storage, read_write> drawn: array<i32>; // [N], bits
  @group(0) @binding(1) var<uniform>             p:     Params;
  ${flatIndex}
  ${threefry}
  @compute @workgroup_size(64)
  fn shuffleDraw(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n < p.N) { drawn[n] = bitcast<i32>(threefry(vec2u(p.key0, p.key1), vec2u(p.offset + n, 0u)).x); }
  }
`

const rankKernel = kernel`
  struct Params { N: u32 }
  @group(0) @binding(0) var<storage, read>       drawn:   array<i32>; // [N], bits
  @group(0) @binding(1) var<storage, read_write> order:   array<i32>; // [N], the row of each rank
  @group(0) @binding(2) var<storage, read_write> inverse: array<i32>; // [N], the rank of each row
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn shuffleRank(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.N) { return; }
    let own = drawn[n];
    var rank = 0u;
    for (var i = 0u; i < p.N; i++) {
      if (drawn[i] < own || (drawn[i] == own && i < n)) { rank++; } // equal draws keep their order
    }
    order[rank] = i32(n);
    inverse[n] = i32(rank);
  }
`

interface Attrs {
  readonly seed: number
  readonly step: Scalar
  /** The number of the first row within the step, for rows that come in several parts. 0 by
   *  default. */
  readonly offset?: number
}

const orderOp: Op<[x: Tensor], [order: Tensor, inverse: Tensor], Attrs> = {
  name: 'shuffleOrder',
  shape(_, x) {
    if (x.length === 0) throw new ShapeError('shuffleOrder: x must have rows [N, ...], got []')
    return [dim(x, 0)]
  },
  forward(run, { seed, step, offset = 0 }, x) {
    const N = dim(x.shape, 0)
    const [key0, key1] = streamKey(seed, STREAM, step, { owner: 'shuffleOrder' })
    const indices = { shape: [N], dtype: 'i32' } as const
    const groups = elementwise(N)
    const [drawn] = run(drawKernel, { makes: [indices], params: { N, offset, key0, key1 }, groups })
    return run(rankKernel, { reads: [drawn], makes: [indices, indices], params: { N }, groups })
  },
}

const rules = { ...seedAndStep, offset: seedRule }

/** Returns a random order of the rows of x [N, ...], i32 [N], and its inverse. `indexSelect` with
 *  the first shuffles, with the second it undoes that. Both depend on (seed, step, offset) and N
 *  alone. Carries no gradient. Throws ShapeError for a scalar. */
export function shuffleOrder(x: Tensor, attrs: Attrs): { order: Tensor; inverse: Tensor } {
  checkTensor('shuffleOrder', 'x', x)
  checkOptions('shuffleOrder', attrs ?? {}, rules)
  const [order, inverse] = x.gpu.apply(orderOp, attrs, [x])
  return { order, inverse }
}
