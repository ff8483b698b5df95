// What a device can do at most: multiply-adds in registers, products of subgroup matrices without
// memory, and a large copy.

import * as kindred from '../../dist/node.js'
import { summary } from './statistics.js'
import { batch } from './timing.js'

const { elementwise, flatIndex, kernel } = kindred

const FMA_ROUND = 12 * 4 // multiply-adds of a thread in a round of fmaKernel

// Twelve chains that do not wait for each other, four steps a round, in variables of their own. An
// array or a shorter round measures its loop: on llvmpipe 28 and 25 GFLOP/s, where this gives 50. A
// multiply-add is a product and a sum there, so this is what compiled WGSL reaches, not what the
// cores would with fused ones.
const fmaKernel = kernel`
  struct Params { rounds: u32 }
  @group(0) @binding(0) var<storage, read_write> y: array<vec4f>; // [threads]
  @group(0) @binding(1) var<uniform>             p: Params;
  @compute @workgroup_size(256)
  fn multiplyAdds(@builtin(global_invocation_id) id: vec3u) {
    let x = vec4f(f32(id.x % 7u) * 0.1);
    var a = vec4f(1.0);
    var b = vec4f(2.0);
    var c = vec4f(3.0);
    for (var round = 0u; round < p.rounds; round++) {
      a = fma(a, x, x); b = fma(b, x, x); c = fma(c, x, x);
      a = fma(a, x, x); b = fma(b, x, x); c = fma(c, x, x);
      a = fma(a, x, x); b = fma(b, x, x); c = fma(c, x, x);
      a = fma(a, x, x); b = fma(b, x, x); c = fma(c, x, x);
    }
    y[id.x] = a + b + c;
  }
`

const matrixKernel = kernel`
  enable f16;
  enable subgroups;
  enable chromium_experimental_subgroup_matrix;
  struct Params { rounds: u32 }
  @group(0) @binding(0) var<storage, read_write> y: array<f32>; // [groups, 4, 256]
  @group(0) @binding(1) var<uniform>             p: Params;
  alias Left = subgroup_matrix_left<f16, 16, 16>;
  alias Right = subgroup_matrix_right<f16, 16, 16>;
  alias Sums = subgroup_matrix_result<f32, 16, 16>;
  var<workgroup> staged: array<vec4<f16>, 64>;
  @compute @workgroup_size(128)
  fn multiplyMatrices(
    @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) team: u32, @builtin(workgroup_id) group: vec3u,
  ) {
    if (lane < 64u) { staged[lane] = vec4<f16>(f16(lane % 5u) * 0.01h); }
    workgroupBarrier();
    let left = subgroupMatrixLoad<Left, row_major>(&staged, 0u, 4u);
    let right = subgroupMatrixLoad<Right, row_major>(&staged, 0u, 4u);
    var sums = array<Sums, 8>();
    for (var round = 0u; round < p.rounds; round++) {
      for (var i = 0u; i < 8u; i++) { sums[i] = subgroupMatrixMultiplyAccumulate(left, right, sums[i]); }
    }
    for (var i = 1u; i < 8u; i++) { sums[0] = subgroupMatrixMultiplyAccumulate(left, right, sums[i]); }
    subgroupMatrixStore<row_major>(&y, (group.x * 4u + team) * 256u, sums[0], 16u);
  }
`

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

/** Times a call in batches of about 100 ms: median, least and greatest of the runs, in ms, by the
 *  clock, or of CPU time on a CPU adapter, where the clock would tell how busy the machine is. */
export async function time(call, { runs, software }) {
  const contestant = { calls: { call } }
  const pick = ({ wall, cpu }) => (software ? cpu : wall)
  await batch(contestant, 'call', 1) // compiles
  const { wall } = await batch(contestant, 'call', 1)
  const count = Math.min(256, Math.max(1, Math.ceil(100 / wall)))
  const times = []
  for (let run = 0; run < runs; run++) times.push(pick(await batch(contestant, 'call', count)))
  return summary(times)
}

const hasMatrices = ({ run, device }) =>
  run.matrices && device.features.has('chromium-experimental-subgroup-matrix') // not emulated

/** {fma, matrices} in GFLOP/s, {copy} in GB/s, {launch} in us; matrices is 0 where there are
 *  none. */
export async function peaks(gpu, options) {
  const groups = options.software ? 64 : 4096
  const rounds = options.software ? 256 : 4096
  const dispatch = { params: { rounds }, groups: [groups] }
  const fma = () =>
    gpu.step(() => gpu.run(fmaKernel, { ...dispatch, makes: [[groups * 256, 4]] })[0])
  const matrices = () =>
    gpu.step(() => gpu.run(matrixKernel, { ...dispatch, makes: [[groups, 1024]] })[0])
  const rate = async (call, work) => work / (await time(call, options)).median / 1e6
  return {
    fma: await rate(fma, groups * 256 * rounds * FMA_ROUND * 2),
    matrices: hasMatrices(gpu) ? await rate(matrices, groups * 4 * rounds * 8 * 2 * 16 ** 3) : 0,
    copy: await copyRate(gpu, options),
    launch: await launchCost(gpu, options),
  }
}

const CHAIN = 256 // dispatches

/** What one more dispatch of a replayed step costs, in us: a chain of tiny copies, each of the one
 *  before. */
async function launchCost(gpu, options) {
  const count = 64 // floats
  const dispatch = { makes: [[count]], params: { count: count / 4 }, groups: [1] }
  const first = gpu.variable(new Float32Array(count), [count])
  const captured = gpu.capture(() => {
    let x = first
    for (let i = 0; i < CHAIN; i++) x = gpu.run(copyKernel, { ...dispatch, reads: [x] })[0]
    return x
  })
  for (let i = 0; i < 3; i++) captured.run()
  const { median } = await time(() => captured.run(), options)
  captured.release()
  return (1000 * median) / CHAIN
}

/** A step that copies more than a cache holds, and the bytes that it reads and writes. */
export function largeCopy(gpu) {
  const most = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4)
  const count = Math.min((gpu.software ? 16 : 64) << 20, most & ~3) // floats
  const x = gpu.tensor(new Float32Array(count), [count])
  const dispatch = {
    reads: [x],
    makes: [[count]],
    params: { count: count / 4 },
    groups: elementwise(count / 4),
  }
  return { copy: () => gpu.step(() => gpu.run(copyKernel, dispatch)[0]), bytes: 8 * count }
}

/** GB/s of a large copy, read and written. */
export async function copyRate(gpu, options) {
  const { copy, bytes } = largeCopy(gpu)
  return bytes / (await time(copy, options)).median / 1e6
}
