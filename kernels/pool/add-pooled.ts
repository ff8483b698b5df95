// The sum of a residual block whose input has another shape than its output (AMDIM's shortcut:
// average pooling, then channels of zeros):
//   y[.., k] = branch[.., k] + mean of x[window, k]   for k < C
//   y[.., k] = branch[.., k]                          beyond

import { type Op, type Tensor, ShapeError, dim, flatIndex, kernel, op, show } from '../op.ts'
import { avgPoolBack } from './avg-pool.ts'
import {
  type PoolOptions,
  type Window,
  channelsOf,
  imageCoords,
  poolParams,
  pooledShape,
  windowParams,
} from './window.ts'
import { anything, checkOptions, needed, said } from '../options.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { alike, byStorage } from '../wgsl/storage.ts'

const forwardKernel = byStorage(
  (types) => kernel`
  struct Params { ${poolParams}, K: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       branch: array<S>; // [N, outH, outW, K]
  @group(0) @binding(1) var<storage, read>       x:      array<S>; // [N, H, W, C]
  @group(0) @binding(2) var<storage, read_write> y:      array<S>; // [N, outH, outW, K]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${flatIndex}
  ${imageCoords}
  @compute @workgroup_size(64)
  fn addPooled(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let o = imageCoords(i, p.outH, p.outW, p.K);
    var sum = F();
    if (o.w < p.C) {
      let first = ((o.x * p.H + o.y * p.stride) * p.W + o.z * p.stride) * p.C + o.w;
      for (var h = 0u; h < p.size; h++) {
        for (var w = 0u; w < p.size; w++) { sum += widen(x[first + (h * p.W + w) * p.C]); }
      }
    }
    y[i] = narrow(widen(branch[i]) + sum / f32(p.size * p.size));
  }
`,
)

/** Its shape rule and forward serve residualUnit too. */
export const addPooledOp: Op<[branch: Tensor, x: Tensor], [y: Tensor], Window> = {
  name: 'addPooled',
  accepts: ['float', 'float'],

  shape(window, branch, x) {
    const pooled = pooledShape(x, window, 'addPooled')
    const fits =
      branch.length === 4 && branch.every((size, i) => (i < 3 ? size === pooled[i] : true))
    if (!fits || dim(branch, 3) < dim(pooled, 3))
      throw new ShapeError(
        `addPooled: the branch must be [N, H, W, K] of the pooled size, K at least its channels, got ${show(branch)} and ${show(pooled)}`,
      )
    return branch
  },

  forward(run, window, branch, x) {
    const { shape } = branch
    const [a, b, dtype] = alike(run, branch, x)
    const width = channelsOf(x.shape, shape)
    const sizes = windowParams(x.shape, shape, window, 'addPooled')
    const how = { reads: [a, b], params: { ...sizes, K: dim(shape, 3) / width }, width }
    return [perElement(run, forwardKernel({ dtype }, width), { shape, dtype }, how)]
  },

  backward(run, window, [dy], [, x], _outputs, [branchNeeded, xNeeded]) {
    if (!xNeeded) return [branchNeeded ? dy : null, null]
    return [branchNeeded ? dy : null, avgPoolBack(run, dy, x.shape, window)]
  },
}

const apply = op(addPooledOp, 'branch', 'x')

/** branch [N, h, w, K] plus avgPool(x [N, H, W, C]) [N, h, w, C] in its first C channels, in one
 *  pass. Throws ShapeError unless h and w are the pooled size and K is at least C. */
export const addPooled = (
  branch: Tensor,
  x: Tensor,
  options: Pick<PoolOptions, 'size' | 'stride'>,
): Tensor => {
  const rules = { size: needed(said('a whole number from 1 on')), stride: anything }
  const { size, stride = size } = checkOptions('addPooled', options ?? {}, rules)
  return apply({ size, stride, padding: 0 }, branch, x)
}
