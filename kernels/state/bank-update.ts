// Moves a memory bank's slots towards the features of a batch: v_i <- normalise(m v_i + (1 - m)
// f_i) (Wu et al. 2018, https://arxiv.org/abs/1805.01978, section 3.2, with the momentum of their
// code).

import {
  type Tensor,
  type Variable,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  show,
} from '../op.ts'
import { maximumOf } from '../wgsl/nan.ts'
import { storedAs } from '../wgsl/storage.ts'
import { checkValue, share, tensor, variable } from '../options.ts'

const bankKernel = kernel`
  struct Params { N: u32, C: u32, slots: u32, keep: f32, take: f32 }
  @group(0) @binding(0) var<storage, read>       features: array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read>       indices:  array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> bank:     array<f32>; // [slots, C]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  ${maximumOf}
  @compute @workgroup_size(64)
  fn bankUpdate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.N) { return; }
    let slot = indices[n];
    if (slot < 0 || slot >= i32(p.slots)) { return; }
    for (var later = n + 1u; later < p.N; later++) {
      if (indices[later] == slot) { return; } // of a repeated image the last feature counts
    }
    let at = u32(slot) * p.C;
    var squares = 0.0;
    for (var c = 0u; c < p.C; c++) {
      let moved = p.keep * bank[at + c] + p.take * features[n * p.C + c];
      squares += moved * moved;
    }
    let scale = 1.0 / maximumOf(sqrt(squares), 1e-12);
    for (var c = 0u; c < p.C; c++) {
      bank[at + c] = (p.keep * bank[at + c] + p.take * features[n * p.C + c]) * scale;
    }
  }
`

/** Moves the rows of the bank [n, C] with these indices [N] i32 towards features [N, C], unit rows:
 *  v <- m v + (1 - m) f, scaled to unit length. Ignores indices outside the bank. One dispatch;
 *  carries no gradient. Throws ShapeError unless features have the length of the slots and an i32
 *  index each. */
export function bankUpdate(bank: Variable, features: Tensor, indices: Tensor, m: number) {
  checkValue('bankUpdate', 'bank', bank, variable)
  checkValue('bankUpdate', 'features', features, tensor)
  checkValue('bankUpdate', 'indices', indices, tensor)
  checkValue('bankUpdate', 'm', m, share)
  const [slots, C] = matrix(bank.shape, 'bankUpdate: bank')
  const [N, width] = matrix(features.shape, 'bankUpdate: features')
  if (width !== C || indices.shape.join() !== String(N) || indices.dtype !== 'i32')
    throw new ShapeError(
      `bankUpdate: features must be as long as the bank's rows, and have an i32 index each, got ${show(features.shape)} and ${indices.dtype} ${show(indices.shape)} for ${show(bank.shape)}`,
    )
  const isFloat = features.dtype === 'f32' || features.dtype === 'f16'
  if (!isFloat || bank.dtype !== 'f32')
    throw new ShapeError(
      `bankUpdate: features and bank must be f32, got ${features.dtype} and ${bank.dtype}`,
    )
  bank.gpu.run(bankKernel, {
    reads: [storedAs(bank.gpu.run, 'f32', features), indices],
    updates: [bank],
    params: { N, C, slots, keep: m, take: 1 - m },
    groups: elementwise(N),
  })
}
