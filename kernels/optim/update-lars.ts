// LARS (You et al. 2017, https://arxiv.org/abs/1708.03888), as in google-research/simclr's
// lars_optimizer.py:
//
//   g <- g + weightDecay w
//   trust = eta |w| / |g|, 1 where a norm is 0 or the parameter is excluded, NaN where one is NaN
//   classic:   v <- momentum v + trust lr g;  w <- w - v
//              (Nesterov: w <- w - (momentum v + trust lr g))
//   otherwise: v <- momentum v + g;  u = v (Nesterov: momentum v + g);  trust from |u|
//              w <- w - trust lr u
//
// Norms are summed in a fixed order: 64 elements by a thread, then the blocks of a parameter by one
// workgroup.

import { type Flat, type Layout, flatTables, fourElements, treated } from './update.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { maximumOf } from '../wgsl/nan.ts'
import {
  type Run,
  type Scalar,
  type Tensor,
  type Variable,
  elementwise,
  folded,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'

const momentumKernel = kernel`
  struct Params { count: u32, weightDecay: f32, momentum: f32 }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read>       weight:   array<vec4f>;
  @group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
  @group(0) @binding(5) var<uniform>             p:        Params;
  @compute @workgroup_size(64)
  fn larsMomentum(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${fourElements}
    velocity[i] = p.momentum * velocity[i] + gradient(i, setting) + decay(setting) * weight[i];
  }
`

// The direction u: its norm sets the trust ratio, and the weight moves along it.
const direction = wgsl`
  fn direction(i: u32, setting: Setting) -> vec4f {
    let g = gradient(i, setting) + decay(setting) * weight[i];
    if (p.classic == 1u) { return g; }
    return select(velocity[i], p.momentum * velocity[i] + g, p.nesterov == 1u);
  }
`

const normsKernel = kernel`
  struct Params { blocks: u32, weightDecay: f32, momentum: f32, classic: u32, nesterov: u32 }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read>       weight:   array<vec4f>;
  @group(0) @binding(4) var<storage, read>       velocity: array<vec4f>;
  @group(0) @binding(5) var<storage, read_write> squares:  array<vec2f>; // [blocks]: |w|^2, |direction|^2
  @group(0) @binding(6) var<uniform>             p:        Params;
  ${direction}
  @compute @workgroup_size(64)
  fn larsNorms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let block = flat(id, groups);
    if (block >= p.blocks) { return; }
    let setting = settings[owner[block]];
    var sum = vec2f(0.0);
    for (var k = 0u; k < 16u; k++) {
      let w = weight[block * 16u + k];
      let d = direction(block * 16u + k, setting);
      sum += vec2f(dot(w, w), dot(d, d));
    }
    squares[block] = sum;
  }
`

const trustKernel = kernel`
  struct Params { eta: f32 }
  @group(0) @binding(0) var<storage, read>       squares:  array<vec2f>;
  @group(0) @binding(1) var<storage, read>       ranges:   array<i32>; // [parameters, 3]: first block, end, adapted
  @group(0) @binding(2) var<storage, read_write> trust:    array<f32>; // [parameters]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${maximumOf}
  var<workgroup> scratch: array<vec2f, 64>;
  @compute @workgroup_size(64)
  fn larsTrust(${groupEntry}) {
    let parameter = group.y * groups.x + group.x;
    if (parameter >= arrayLength(&trust)) { return; }
    var sum = vec2f(0.0);
    for (var block = ranges[parameter * 3u] + i32(thread); block < ranges[parameter * 3u + 1u]; block += 64) {
      sum += squares[block];
    }
    scratch[thread] = sum;
    workgroupBarrier();
    if (thread > 0u) { return; }
    var total = vec2f(0.0);
    for (var k = 0u; k < 64u; k++) { total += scratch[k]; }
    let norms = sqrt(total);
    // NaN counts as nonzero: the parameter becomes NaN.
    let nonzero = all((bitcast<vec2u>(norms) & vec2u(0x7fffffffu)) != vec2u());
    let usable = ranges[parameter * 3u + 2u] == 1 && nonzero;
    trust[parameter] = select(1.0, p.eta * norms.x / maximumOf(norms.y, 1e-38), usable);
  }
`

const applyKernel = kernel`
  struct Params {
    count: u32, lr: f32, weightDecay: f32, momentum: f32, classic: u32, nesterov: u32
  }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read>       trust:    array<f32>;
  @group(0) @binding(4) var<storage, read_write> weight:   array<vec4f>;
  @group(0) @binding(5) var<storage, read_write> velocity: array<vec4f>;
  @group(0) @binding(6) var<uniform>             p:        Params;
  ${direction}
  @compute @workgroup_size(64)
  fn larsApply(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${fourElements}
    let change = p.lr * setting.rate * trust[parameter] * direction(i, setting);
    if (p.classic == 0u) {
      weight[i] -= change;
      return;
    }
    let v = p.momentum * velocity[i] + change;
    velocity[i] = v;
    weight[i] -= select(v, p.momentum * v + change, p.nesterov == 1u);
  }
`

export interface LarsParams {
  readonly lr: Scalar
  readonly momentum: number
  readonly eta: number
  readonly classic: boolean
  readonly nesterov: boolean
}

/** Returns the trust ratio of each parameter [parameters]. `reads` are the flat variables. */
function trustRatios(
  run: Run,
  reads: readonly Tensor[],
  ranges: Variable,
  how: {
    readonly kind: Readonly<Record<string, Scalar>>
    readonly constants: { readonly clipping: number }
    readonly eta: number
  },
): Tensor {
  const blocks = sizeOf(reads[0]?.shape ?? []) / 64
  const parameters = sizeOf(ranges.shape) / 3
  const [squares] = run(normsKernel, {
    reads,
    makes: [[blocks, 2]],
    params: { blocks, ...how.kind },
    constants: how.constants,
    groups: elementwise(blocks),
  })
  const [trust] = run(trustKernel, {
    reads: [squares, ranges],
    makes: [[parameters]],
    params: { eta: how.eta },
    groups: folded(parameters),
  })
  return trust
}

/** Makes one LARS step over every parameter: three dispatches, four when not classic. `ranges` i32
 *  [parameters, 3] holds the first block of each parameter, the block after its last, and 1 if the
 *  trust ratio scales its step. */
export function lars(
  run: Run,
  {
    owner,
    settings,
    ranges,
    clipping = false,
    weightDecay = 0,
  }: Layout & { readonly ranges: Variable },
  { weight, grad, velocity }: Flat & { readonly velocity: Variable },
  { lr, momentum, eta, ...flags }: LarsParams,
) {
  const count = sizeOf(grad.shape) / 4 // four at a time
  const [classic, nesterov] = [Number(flags.classic), Number(flags.nesterov)]
  const kind = { momentum, weightDecay, classic, nesterov }
  const known = [grad, owner, settings]
  const constants = { clipping: Number(clipping) }
  if (!flags.classic)
    run(momentumKernel, {
      reads: [...known, weight],
      updates: [velocity],
      params: { count, weightDecay, momentum },
      constants,
      groups: elementwise(count),
    })
  const trust = trustRatios(run, [...known, weight, velocity], ranges, { kind, constants, eta })
  run(applyKernel, {
    reads: [...known, trust],
    updates: [weight, velocity],
    params: { count, lr, ...kind },
    constants,
    groups: elementwise(count),
  })
}
