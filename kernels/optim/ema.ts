// The exponential moving average of a flat buffer of parameters: k <- m k + (1 - m) q

import {
  type Run,
  type Scalar,
  type Variable,
  derive,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
} from '../op.ts'

const emaKernel = kernel`
  struct Params { count: u32, keep: f32, take: f32 }
  @group(0) @binding(0) var<storage, read>       q: array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> k: array<vec4f>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn ema(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { k[i] = p.keep * k[i] + p.take * q[i]; }
  }
`

/** Computes k <- m k + (1 - m) q in place, for flat variables of one layout (a multiple of 64
 *  elements). In a captured step m is a function. */
export function ema(run: Run, k: Variable, q: Variable, m: Scalar) {
  const count = sizeOf(k.shape) / 4
  // 1 - m is computed in double precision: in f32, 1 - 0.999 has a relative error of 4e-5.
  run(emaKernel, {
    reads: [q],
    updates: [k],
    params: { count, keep: m, take: derive(m, (keep) => 1 - keep) },
    groups: elementwise(count),
  })
}
