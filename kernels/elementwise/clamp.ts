import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { checkOptions, describe, number } from '../options.ts'
import { notANumber } from '../wgsl/nan.ts'
import { pointwise } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32, least: f32, most: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${notANumber}
  @compute @workgroup_size(64)
  fn clampForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    // clamp would hide NaN
    if (i < p.count) { y[i] = select(clamp(x[i], p.least, p.most), x[i], notANumber(x[i])); }
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, least: f32, most: f32 }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${notANumber}
  @compute @workgroup_size(64)
  fn clampBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let inside = x[i] >= p.least && x[i] <= p.most && !notANumber(x[i]);
    dx[i] = select(0.0, dy[i], inside);
  }
`

interface Attrs {
  readonly least: number
  readonly most: number
}

const clampOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'clamp',
  shape: (_, x) => x,
  forward: (run, attrs, x) => [pointwise(run, forwardKernel, [x], { ...attrs })],
  backward: (run, attrs, [dy], [x]) => [pointwise(run, backwardKernel, [x, dy], { ...attrs })],
}

const applyClamp = op(clampOp)

export interface ClampOptions {
  /** The least value of the result; -Infinity by default. */
  readonly min?: number
  /** The largest value of the result; Infinity by default. */
  readonly max?: number
}

/** x limited to [min, max], elementwise. As in torch, the gradient passes where x is inside or at a
 *  limit, and is 0 elsewhere and at NaN, which stays NaN. Throws RangeError for min above max, and
 *  TypeError without either. */
export function clamp(x: Tensor, options: ClampOptions): Tensor {
  const given = checkOptions('clamp', options, { min: number, max: number })
  const { min = -Infinity, max = Infinity } = given
  if (given.min === undefined && given.max === undefined)
    throw new TypeError(
      `clamp: options must have min, max or both, got ${describe(options)}; give one, as in { min: 0 }`,
    )
  if (min > max)
    throw new RangeError(`clamp: min must be at most max, got min ${min} and max ${max}`)
  return applyClamp({ least: min, most: max }, x)
}
