// MoCo's queue, a ring: a batch of keys replaces the oldest ones, from the pointer on.

import {
  type Scalar,
  type Tensor,
  type Variable,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  show,
  valueOf,
} from '../op.ts'
import { storedAs } from '../wgsl/storage.ts'
import { checkValue, scalar, tensor, variable } from '../options.ts'

const enqueueKernel = kernel`
  struct Params { count: u32, C: u32, K: u32, skip: u32, pointer: u32 }
  @group(0) @binding(0) var<storage, read>       keys:  array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read_write> queue: array<f32>; // [K, C]
  @group(0) @binding(2) var<uniform>             p:     Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn enqueue(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let e = flat(id, groups);
    if (e >= p.count) { return; }
    let n = p.skip + e / p.C;
    queue[(p.pointer + n) % p.K * p.C + e % p.C] = keys[n * p.C + e % p.C];
  }
`

/** Writes keys [N, C] into the queue [K, C] from row `pointer` on, wrapping at the end, and
 *  returns the next pointer. In a captured step `pointer` is a function. Of a batch larger than
 *  the queue the last K keys stay. One dispatch; carries no gradient. Throws ShapeError, and
 *  RangeError for a pointer outside the queue. */
export function enqueue(queue: Variable, keys: Tensor, pointer: Scalar): number {
  checkValue('enqueue', 'queue', queue, variable)
  checkValue('enqueue', 'keys', keys, tensor)
  checkValue('enqueue', 'pointer', pointer, scalar)
  const start = valueOf(pointer)
  const [K, C] = matrix(queue.shape, 'enqueue: queue')
  const [N, width] = matrix(keys.shape, 'enqueue: keys')
  if (width !== C || K === 0)
    throw new ShapeError(
      `enqueue: keys must be as long as the queue's rows, got ${show(keys.shape)} for ${show(queue.shape)}`,
    )
  const isFloat = keys.dtype === 'f32' || keys.dtype === 'f16'
  if (!isFloat || queue.dtype !== 'f32')
    throw new ShapeError(
      `enqueue: keys and queue must be f32, got ${keys.dtype} and ${queue.dtype}`,
    )
  if (!Number.isInteger(start) || start < 0 || start >= K)
    throw new RangeError(
      `enqueue: the pointer must be a row of the queue, 0 to ${K - 1}, got ${start}`,
    )
  const skip = Math.max(0, N - K)
  const count = (N - skip) * C
  queue.gpu.run(enqueueKernel, {
    reads: [storedAs(queue.gpu.run, 'f32', keys)],
    updates: [queue],
    params: { count, C, K, skip, pointer },
    groups: elementwise(count),
  })
  return (start + N) % K
}
