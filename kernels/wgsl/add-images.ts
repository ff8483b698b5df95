// Sums of images as they are stored (storage.ts).

import { type Run, type Tensor, dim, flatIndex, kernel } from '../op.ts'
import { perElement } from './pointwise.ts'
import { byStorage, storedPointwise } from './storage.ts'
import { widthOf } from './widths.ts'

const imagesKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       a:   array<S>;
  @group(0) @binding(1) var<storage, read>       b:   array<S>;
  @group(0) @binding(2) var<storage, read_write> out: array<S>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn addImages(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = narrow(widen(a[i]) + widen(b[i])); }
  }
`,
)

const rowKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32, C: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:   array<S>; // [..., C]
  @group(0) @binding(1) var<storage, read>       row: array<F>; // [C]
  @group(0) @binding(2) var<storage, read_write> out: array<S>; // [..., C]
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn addRow(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = narrow(widen(x[i]) + row[i % p.C]); }
  }
`,
)

/** a + b, of one shape and element type. */
export const addImages = (run: Run, a: Tensor, b: Tensor): Tensor =>
  storedPointwise(run, imagesKernel, [a, b])

/** x [..., C] plus a row [C] of f32, stored as x is. */
export function addRow(run: Run, x: Tensor, row: Tensor): Tensor {
  const { shape, dtype } = x
  const C = dim(shape, shape.length - 1)
  const width = widthOf(C)
  const params = { C: C / width }
  return perElement(run, rowKernel(x, C), { shape, dtype }, { reads: [x, row], params, width })
}
