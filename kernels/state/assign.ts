// Writes what a step computed into a variable: DINO's centre, prototypes, a target.

import {
  type Tensor,
  type Variable,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  show,
  sizeOf,
} from '../op.ts'
import { storedAs } from '../wgsl/storage.ts'
import { checkValue, tensor, variable as isVariable } from '../options.ts'

const assignKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<u32>; // bits of any element type
  @group(0) @binding(1) var<storage, read_write> y: array<u32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn assign(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = x[i]; }
  }
`

/** Copies x into a variable of its shape and element type, bit by bit, in a step or outside; a
 *  replay does it again. x may lie in the variable's own memory, and of f16 is converted. It
 *  carries no gradient, and a backward pass through an earlier use of the variable throws. One
 *  dispatch, and one that converts. `gpu.write` takes values from JavaScript. Throws ShapeError,
 *  TypeError. */
export function assign(variable: Variable, x: Tensor) {
  checkValue('assign', 'variable', variable, isVariable)
  checkValue('assign', 'x', x, tensor)
  const dtype = x.dtype === 'f16' ? 'f32' : x.dtype
  if (variable.shape.join() !== x.shape.join() || variable.dtype !== dtype)
    throw new ShapeError(
      `assign: x must be like the variable, ${variable.dtype} ${show(variable.shape)}, got ${x.dtype} ${show(x.shape)}`,
    )
  const bytes = sizeOf(x.shape) * { f32: 4, i32: 4, u8: 1 }[dtype]
  const count = Math.ceil(bytes / 4)
  variable.gpu.run(assignKernel, {
    reads: [storedAs(variable.gpu.run, dtype, x)],
    updates: [variable],
    params: { count },
    groups: elementwise(count),
  })
}
