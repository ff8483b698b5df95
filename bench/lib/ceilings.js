// What the device can do at most, as far as Kindred's own kernels show: a large matrix product and a large copy.

import * as kindred from '../../dist/node.js'
import { openEngine } from './engine.js'

const { elementwise, flatIndex, kernel, matmul } = kindred

const copyKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = x[i]; }
  }
`

/** A contestant whose calls are a matrix product (work in FLOPs) and a copy (work in bytes, read and written). */
export async function open(_, settings) {
  const gpu = await openEngine(settings)
  const size = gpu.software ? 512 : 4096
  const most = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4)
  const count = Math.min((gpu.software ? 16 : 64) << 20, most & ~3) // floats; more than a cache holds
  const a = gpu.tensor(new Float32Array(size * size).fill(0.5), [size, size])
  const x = gpu.tensor(new Float32Array(count), [count])
  const dispatch = {
    reads: [x],
    makes: [[count]],
    params: { count: count / 4 },
    groups: elementwise(count / 4),
  }
  return {
    calls: {
      matmul: () => gpu.step(() => matmul(a, a)),
      copy: () => gpu.step(() => gpu.run(copyKernel, dispatch)[0]),
    },
    check: () => gpu.check(),
    work: { matmul: 2 * size ** 3, copy: 8 * count },
  }
}
