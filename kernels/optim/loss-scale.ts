// Dynamic loss scaling (Micikevicius et al. 2018, section 3.2, https://arxiv.org/abs/1710.03740),
// decided on the GPU, so that no step waits to learn whether its gradients are finite. Gradients
// arrive multiplied by the scale and are divided by it. Where one is not finite, no parameter is
// updated and the scale is halved. After `interval` good steps in a row it doubles.

import {
  type Run,
  type Tensor,
  type Variable,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
} from '../op.ts'
import { type Layout, BLOCK } from './update.ts'

const checkKernel = kernel`
  struct Params { blocks: u32 }
  @group(0) @binding(0) var<storage, read>       grad:     array<vec4f>;
  @group(0) @binding(1) var<storage, read>       owner:    array<i32>;
  @group(0) @binding(2) var<storage, read>       settings: array<vec4f>; // [parameters]
  @group(0) @binding(3) var<storage, read_write> bad:      array<f32>;   // [blocks], 1 if not finite
  @group(0) @binding(4) var<uniform>             p:        Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn checkGradients(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let block = flat(id, groups);
    if (block >= p.blocks) { return; }
    var infinite = false;
    if (settings[owner[block]].y != 0.0) {
      for (var i = 0u; i < 16u; i++) {
        // Tests bits, since compilers may assume that no number is infinite or NaN.
        let exponents = bitcast<vec4u>(grad[block * 16u + i]) & vec4u(0x7f800000u);
        infinite = infinite || any(exponents == vec4u(0x7f800000u));
      }
    }
    bad[block] = select(0.0, 1.0, infinite);
  }
`

const decideKernel = kernel`
  struct Params { blocks: u32, interval: f32, least: f32, most: f32, joins: u32 }
  @group(0) @binding(0) var<storage, read>       bad:     array<f32>; // [blocks]
  @group(0) @binding(1) var<storage, read_write> scale:   array<f32>; // []
  @group(0) @binding(2) var<storage, read_write> good:    array<f32>; // [], steps since a change
  @group(0) @binding(3) var<storage, read_write> round:   array<f32>; // [3]: scale, good, any bad
  @group(0) @binding(4) var<storage, read_write> verdict: array<f32>; // [2]: factor; 1, or 0 to skip
  @group(0) @binding(5) var<uniform>             p:       Params;
  var<workgroup> anyBad: array<u32, 256>;
  @compute @workgroup_size(256)
  fn decideScale(@builtin(local_invocation_index) lane: u32) {
    var own = 0u;
    for (var block = lane; block < p.blocks; block += 256u) { own |= u32(bad[block] != 0.0); }
    anyBad[lane] = own;
    workgroupBarrier();
    if (lane > 0u) { return; }
    var any = 0u;
    for (var i = 0u; i < 256u; i++) { any |= anyBad[i]; }
    // Set by the first optimizer that uses these gradients; others read it.
    if (p.joins == 0u) {
      round[0] = scale[0];
      round[1] = good[0];
      round[2] = 0.0;
    }
    let now = round[0];
    let steps = round[1] + 1.0;
    verdict[0] = 1.0 / now;
    verdict[1] = select(1.0, 0.0, any == 1u);
    any |= u32(round[2] != 0.0);
    round[2] = f32(any);
    if (any == 1u) {
      scale[0] = max(now * 0.5, p.least);
      good[0] = 0.0;
    } else if (steps >= p.interval) {
      scale[0] = min(now * 2.0, p.most);
      good[0] = 0.0;
    } else {
      good[0] = steps;
    }
  }
`

const unscaleKernel = kernel`
  struct Params { count: u32, parameters: u32 }
  @group(0) @binding(0) var<storage, read>       verdict:  array<f32>;   // [2]
  @group(0) @binding(1) var<storage, read>       settings: array<vec4f>; // [parameters]
  @group(0) @binding(2) var<storage, read_write> grad:     array<f32>;   // [count]
  @group(0) @binding(3) var<storage, read_write> judged:   array<vec4f>; // [parameters]
  @group(0) @binding(4) var<uniform>             p:        Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn unscale(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { grad[i] *= verdict[0]; }
    if (i < p.parameters) { judged[i] = settings[i] * vec4f(1.0, verdict[1], 1.0, 1.0); }
  }
`

/** Divides the flat gradients by the scale, in place, and updates the scale. Returns the settings
 *  for the update: those of the layout, or, when a gradient is not finite, those of parameters
 *  that are not updated. */
export function unscale(
  run: Run,
  { owner, settings }: Layout,
  grad: Variable,
  state: { readonly scale: Variable; readonly good: Variable; readonly round: Variable },
  limits: {
    readonly interval: number
    readonly least: number
    readonly most: number
    readonly joins: number
  },
): Tensor {
  const [count, parameters] = [sizeOf(grad.shape), sizeOf(settings.shape) / 4]
  const blocks = count / BLOCK
  const [bad] = run(checkKernel, {
    reads: [grad, owner, settings],
    makes: [[blocks]],
    params: { blocks },
    groups: elementwise(blocks),
  })
  const [verdict] = run(decideKernel, {
    reads: [bad],
    updates: [state.scale, state.good, state.round],
    makes: [[2]],
    params: { blocks, ...limits },
    groups: [1],
  })
  const [judged] = run(unscaleKernel, {
    reads: [verdict, settings],
    updates: [grad],
    makes: [settings.shape],
    params: { count, parameters },
    groups: elementwise(Math.max(count, parameters)),
  })
  return judged
}
