// Clipping by the global norm of all gradients (Pascanu et al. 2013, https://arxiv.org/abs/1211.5063),
// as torch.nn.utils.clip_grad_norm_ does it:
//
//   norm = sqrt(Σ |g|²) over every parameter that is updated
//   factor = min(1, most / (norm + 1e-6)), NaN where the norm is
//
// The updates multiply by the factor while they read the gradients. The norm is summed in a fixed
// order: 64 elements by a thread, then all blocks by one workgroup.

import { type Run, type Tensor, type Variable, elementwise, kernel, sizeOf } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { notANumber } from '../wgsl/nan.ts'
import { type Layout, BLOCK, flatTables, settingStruct } from './update.ts'

const squaresKernel = kernel`
  struct Params { blocks: u32 }
  ${flatTables}
  @group(0) @binding(3) var<storage, read_write> squares: array<f32>; // [blocks]
  @group(0) @binding(4) var<uniform>             p:       Params;
  @compute @workgroup_size(64)
  fn clipSquares(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let block = flat(id, groups);
    if (block >= p.blocks) { return; }
    var sum = 0.0;
    if (settings[owner[block]].rate != 0.0) {
      for (var k = 0u; k < 16u; k++) {
        let g = grad[block * 16u + k];
        sum += dot(g, g);
      }
    }
    squares[block] = sum;
  }
`

const factorKernel = kernel`
  struct Params { blocks: u32, parameters: u32, most: f32 }
  ${settingStruct}
  @group(0) @binding(0) var<storage, read>       squares:  array<f32>;     // [blocks]
  @group(0) @binding(1) var<storage, read>       settings: array<Setting>; // [parameters]
  @group(0) @binding(2) var<storage, read_write> norm:     array<f32>;     // []
  @group(0) @binding(3) var<storage, read_write> clipped:  array<Setting>; // [parameters]
  @group(0) @binding(4) var<uniform>             p:        Params;
  ${notANumber}
  var<workgroup> sums: array<f32, 256>;
  @compute @workgroup_size(256)
  fn clipFactor(${groupEntry}) {
    var sum = 0.0;
    for (var block = thread; block < p.blocks; block += 256u) { sum += squares[block]; }
    sums[thread] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
      if (thread < half) { sums[thread] += sums[thread + half]; }
      workgroupBarrier();
    }
    let total = sqrt(sums[0]);
    let ratio = p.most / (total + 1e-6);
    let factor = select(min(ratio, 1.0), ratio, notANumber(ratio));
    if (thread == 0u) { norm[0] = total; }
    for (var i = thread; i < p.parameters; i += 256u) {
      clipped[i] = settings[i];
      clipped[i].clip = factor;
    }
  }
`

interface Clippable {
  readonly layout: Layout
  /** The layout that a loss scaler returned, by which no parameter is updated if it skips the
   *  step. */
  readonly judged: Layout
  /** The flat gradients. */
  readonly grad: Tensor
}

/** Writes the norm of the gradients of every parameter that `layout` updates. Returns the settings
 *  of `judged` with the factor that clips the norm to `most`. */
export function clipToNorm(
  run: Run,
  { layout, judged, grad }: Clippable,
  { norm, most }: { readonly norm: Variable; readonly most: number },
): Tensor {
  const blocks = sizeOf(grad.shape) / BLOCK
  const [squares] = run(squaresKernel, {
    reads: [grad, layout.owner, layout.settings],
    makes: [[blocks]],
    params: { blocks },
    groups: elementwise(blocks),
  })
  const [settings] = run(factorKernel, {
    reads: [squares, judged.settings],
    updates: [norm],
    makes: [layout.settings.shape],
    params: { blocks, parameters: sizeOf(layout.settings.shape) / 4, most },
    groups: [1],
  })
  return settings
}
