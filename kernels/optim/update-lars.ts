// LARS (You et al. 2017, https://arxiv.org/abs/1708.03888), in the forms that papers' code has, with
//   d = g + weightDecay w
//   trust = eta |w| / |d|, 1 where a norm is 0 or the parameter is excluded, NaN where one is NaN:
//
//   simclr       v <- momentum v + lr trust d;  w <- w - v  (Nesterov: - (momentum v + lr trust d))
//   not-classic  v <- momentum v + d;  u = v (Nesterov: momentum v + d);  trust from |u|;
//                w <- w - lr trust u     (both: google-research/simclr, lars_optimizer.py)
//   moco-v3      v <- momentum v + trust d;  w <- w - lr v  (Nesterov: - lr (momentum v + trust d))
//   lightly      moco-v3 with trust = eta |w| / (|g| + weightDecay |w| + 1e-8)
//   solo-learn   lightly with trust / lr, at most 1, in place of trust
//
// Norms are summed in a fixed order: 64 elements by a thread, then the blocks of a parameter by one
// workgroup.

import {
  type Flat,
  type Layout,
  decayOf,
  flatTables,
  fourElements,
  settingStruct,
  treated,
} from './update.ts'
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
    if (p.form != 1u) { return g; }
    return select(velocity[i], p.momentum * velocity[i] + g, p.nesterov == 1u);
  }
`

const normsKernel = kernel`
  struct Params { blocks: u32, weightDecay: f32, momentum: f32, form: u32, nesterov: u32 }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read>       weight:   array<vec4f>;
  @group(0) @binding(4) var<storage, read>       velocity: array<vec4f>;
  @group(0) @binding(5) var<storage, read_write> squares:  array<vec2f>; // [blocks]: |w|^2, |d|^2 or |g|^2
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
      var d = direction(block * 16u + k, setting);
      if (p.form > 2u) { d = gradient(block * 16u + k, setting); }
      sum += vec2f(dot(w, w), dot(d, d));
    }
    squares[block] = sum;
  }
`

const trustKernel = kernel`
  struct Params { eta: f32, lr: f32, weightDecay: f32, form: u32 }
  ${settingStruct}
  @group(0) @binding(0) var<storage, read>       squares:  array<vec2f>;
  @group(0) @binding(1) var<storage, read>       ranges:   array<i32>; // [parameters, 3]: first block, end, adapted
  @group(0) @binding(2) var<storage, read>       settings: array<Setting>;
  @group(0) @binding(3) var<storage, read_write> trust:    array<f32>; // [parameters]
  @group(0) @binding(4) var<uniform>             p:        Params;
  ${maximumOf}
  ${decayOf}
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
    let adapted = ranges[parameter * 3u + 2u] == 1;
    let setting = settings[parameter];
    var scale = norms.y;
    if (p.form > 2u) { scale += decay(setting) * norms.x + 1e-8; }
    var ratio = p.eta * norms.x / maximumOf(scale, 1e-38);
    if (p.form == 4u) { ratio = -maximumOf(-ratio / (p.lr * setting.rate), -1.0); } // at most 1
    // the later forms add no weight decay to a gradient of 0
    let otherwise = select(1.0, 0.0, p.form > 2u && adapted && norms.y == 0.0);
    trust[parameter] = select(otherwise, ratio, adapted && nonzero);
  }
`

const applyKernel = kernel`
  struct Params {
    count: u32, lr: f32, weightDecay: f32, momentum: f32, form: u32, nesterov: u32
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
    let lr = p.lr * setting.rate;
    let change = select(1.0, lr, p.form < 2u) * trust[parameter] * direction(i, setting);
    if (p.form == 1u) {
      weight[i] -= change;
      return;
    }
    let v = p.momentum * velocity[i] + change;
    velocity[i] = v;
    let step = select(v, p.momentum * v + change, p.nesterov == 1u);
    weight[i] -= select(lr, 1.0, p.form == 0u) * step;
  }
`

/** The forms of LARS, in the order of the kernels' numbers. */
export const larsForms = ['simclr', 'not-classic', 'moco-v3', 'lightly', 'solo-learn'] as const
export type LarsForm = (typeof larsForms)[number]

export interface LarsParams {
  readonly lr: Scalar
  readonly momentum: number
  readonly eta: number
  readonly form: LarsForm
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
    readonly params: Readonly<Record<string, Scalar>>
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
    reads: [squares, ranges, ...reads.slice(2, 3)],
    makes: [[parameters]],
    params: how.params,
    groups: folded(parameters),
  })
  return trust
}

/** Makes one LARS step over every parameter: three dispatches, four when `form` is
 *  not-classic. `ranges` i32
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
  const form = larsForms.indexOf(flags.form)
  const kind = { momentum, weightDecay, form, nesterov: Number(flags.nesterov) }
  const known = [grad, owner, settings]
  const constants = { clipping: Number(clipping) }
  if (flags.form === 'not-classic')
    run(momentumKernel, {
      reads: [...known, weight],
      updates: [velocity],
      params: { count, weightDecay, momentum },
      constants,
      groups: elementwise(count),
    })
  const trust = trustRatios(run, [...known, weight, velocity], ranges, {
    ...{ kind, constants },
    params: { eta, lr, weightDecay, form },
  })
  run(applyKernel, {
    reads: [...known, trust],
    updates: [weight, velocity],
    params: { count, lr, ...kind },
    constants,
    groups: elementwise(count),
  })
}
