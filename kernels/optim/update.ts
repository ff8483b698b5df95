// The optimizers' kernels. They write in place, and only to Variables. There is one flat buffer
// per role (weights, gradients, momentum, second moment) with the same offsets in each, so that
// one dispatch updates every parameter of a model.

import {
  type Dispatch,
  type Kernel,
  type Run,
  type Scalar,
  type Tensor,
  type Variable,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
  valueOf,
  wgsl,
} from '../op.ts'

/** Elements per entry of `owner`. Parameters begin at multiples of it. */
export const BLOCK = 64

/** Tables of the parameters: which one owns each block, and its settings. */
export interface Layout {
  /** i32 [blocks]: the parameter that each block of 64 elements belongs to. */
  readonly owner: Variable
  /** [parameters, 4]: weight decay, factor of the learning rate (0 for a parameter that is not
   *  updated), factor of the gradient, and 1 where the
   *  weight decay is the layout's. */
  readonly settings: Tensor
  /** Whether the gradients are to be multiplied by their factor. */
  readonly clipping?: boolean
  /** The weight decay of this step, where it changes. */
  readonly weightDecay?: Scalar
}

/** WGSL of a row of `Layout.settings`. */
export const settingStruct = wgsl`
  struct Setting { weightDecay: f32, rate: f32, clip: f32, scheduled: f32 }
`

/** The first bindings of a kernel over flat buffers, and `flat`. */
export const flatTables = wgsl`
  ${settingStruct}
  @group(0) @binding(0) var<storage, read>       grad:     array<vec4f>;
  @group(0) @binding(1) var<storage, read>       owner:    array<i32>;
  @group(0) @binding(2) var<storage, read>       settings: array<Setting>;
  ${flatIndex}
`

/** `decay(setting)`, for kernels whose Params have `weightDecay`. */
export const decayOf = wgsl`
  fn decay(setting: Setting) -> f32 {
    return select(setting.weightDecay, p.weightDecay, setting.scheduled == 1.0);
  }
`

/** `gradient(i, setting)`, and `decay(setting)`, for kernels whose Params have `weightDecay`. */
export const treated = wgsl`
  override clipping: bool = false;
  fn gradient(i: u32, setting: Setting) -> vec4f {
    if (!clipping) { return grad[i]; }
    return grad[i] * setting.clip;
  }
  ${decayOf}
`

/** Opens the body of a kernel that updates four elements per thread. Declares their number `i`,
 *  their `parameter` and its `setting`, and returns where it is not updated. */
export const fourElements = wgsl`
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let parameter = owner[i / 16u];
    let setting = settings[parameter];
    if (setting.rate == 0.0) { return; }`

const sgdKernel = kernel`
  struct Params { count: u32, lr: f32, weightDecay: f32, momentum: f32, nesterov: u32 }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read_write> weight:   array<vec4f>;
  @group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
  @group(0) @binding(5) var<uniform>             p:        Params;
  override moving: bool = true; // false without momentum: the velocity is not touched
  @compute @workgroup_size(64)
  fn sgd(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${fourElements}
    let lr = p.lr * setting.rate;
    let g = gradient(i, setting) + decay(setting) * weight[i];
    if (!moving) {
      weight[i] -= lr * g;
      return;
    }
    let v = p.momentum * velocity[i] + g;
    velocity[i] = v;
    weight[i] -= lr * select(v, g + p.momentum * v, p.nesterov == 1u);
  }
`

/** Flat buffers of the weights and their gradients. */
export interface Flat {
  readonly weight: Variable
  readonly grad: Tensor
}

/** SGD like torch.optim.SGD: v <- momentum v + g + weightDecay w; w <- w - lr v, or with Nesterov
 *  w <- w - lr (g + momentum v). Without momentum the velocity stays unchanged. */
export const sgd = (
  run: Run,
  layout: Layout,
  { grad, weight, velocity }: Flat & { readonly velocity: Variable },
  params: { readonly lr: Scalar; readonly momentum: number; readonly nesterov: boolean },
) =>
  update(run, sgdKernel, layout, grad, {
    updates: [weight, velocity],
    params: { ...params, nesterov: Number(params.nesterov) },
    constants: { moving: Number(params.momentum !== 0) },
  })

const adamKernel = kernel`
  struct Params {
    count: u32, lr: f32, keep1: f32, take1: f32, keep2: f32, take2: f32, eps: f32,
    stepSize: f32, scale: f32, decoupled: u32, weightDecay: f32
  }
  ${flatTables}
  ${treated}
  @group(0) @binding(3) var<storage, read_write> weight:   array<vec4f>;
  @group(0) @binding(4) var<storage, read_write> first:    array<vec4f>;
  @group(0) @binding(5) var<storage, read_write> second:   array<vec4f>;
  @group(0) @binding(6) var<uniform>             p:        Params;
  @compute @workgroup_size(64)
  fn adam(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${fourElements}
    var w = weight[i];
    var g = gradient(i, setting);
    if (p.decoupled == 1u) {
      w *= 1.0 - p.lr * setting.rate * decay(setting);
    } else {
      g += decay(setting) * w;
    }
    let m = p.keep1 * first[i] + p.take1 * g;
    let v = p.keep2 * second[i] + p.take2 * g * g;
    first[i] = m;
    second[i] = v;
    weight[i] = w - p.stepSize * setting.rate * m / (sqrt(v) * p.scale + p.eps);
  }
`

/** Adam (Kingma & Ba 2015, Algorithm 1) like torch.optim.Adam, or AdamW where weight decay is
 *  decoupled. `t` counts from 1. */
export function adam(
  run: Run,
  layout: Layout,
  { grad, weight, first, second }: Flat & { readonly first: Variable; readonly second: Variable },
  { lr, betas: [beta1, beta2], eps, decoupled, t }: AdamParams,
) {
  const stepSize = () => Math.fround(valueOf(lr) / (1 - beta1 ** valueOf(t))) // infinite beyond f32
  const scale = () => 1 / Math.sqrt(1 - beta2 ** valueOf(t))
  // 1 - beta is computed in double precision: in f32, 1 - 0.999 has a relative error of 4e-5.
  const kept = { keep1: beta1, take1: 1 - beta1, keep2: beta2, take2: 1 - beta2 }
  const params = { lr, ...kept, eps, stepSize, scale, decoupled: Number(decoupled) }
  update(run, adamKernel, layout, grad, { updates: [weight, first, second], params })
}

export interface AdamParams {
  readonly lr: Scalar
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly decoupled: boolean
  readonly t: Scalar
}

function update(
  run: Run,
  program: Kernel,
  { owner, settings, clipping = false, weightDecay = 0 }: Layout,
  grad: Tensor,
  { params, constants, updates = [] }: Pick<Dispatch<[]>, 'updates' | 'params' | 'constants'>,
) {
  const count = sizeOf(grad.shape) / 4 // four at a time
  const reads = [grad, owner, settings]
  const groups = elementwise(count)
  run(program, {
    ...{ reads, updates, groups },
    params: { count, weightDecay, ...params },
    constants: { ...constants, clipping: Number(clipping) },
  })
}
