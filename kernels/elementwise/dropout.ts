// Dropout (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html), scaled during
// training so that evaluation has nothing to do. Element i is dropped when draw i of the key is
// below p. The backward pass draws again.

import {
  type Op,
  type Run,
  type Scalar,
  type Pass,
  type Tensor,
  flatIndex,
  kernel,
  op,
  valueOf,
} from '../op.ts'
import { zeroTimes } from '../wgsl/nan.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { streamKey, threefry } from '../wgsl/threefry.ts'
import { checkOptions, checkTensor, describe, flag, needed, scalar, whole } from '../options.ts'

const dropoutKernel = kernel`
  struct Params { count: u32, key0: u32, key1: u32, p: f32, scale: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${threefry}
  ${zeroTimes}
  @compute @workgroup_size(64)
  fn dropout(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let draw = uniform01(threefry(vec2u(p.key0, p.key1), vec2u(i, 0u)).x);
    y[i] = select(zeroTimes(x[i]), p.scale * x[i], draw >= p.p);
  }
`

interface Attrs {
  readonly p: number
  readonly key: readonly [Scalar, Scalar]
  readonly options: DropoutOptions
}

const dropoutOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'dropout',
  shape: (_, x) => x,
  forward: (run, attrs, x) => [masked(run, x, attrs)],
  backward(run, attrs, [dy], [x]) {
    claim(x, attrs.options, attrs, 'backward')
    return [masked(run, dy, attrs)]
  },
}

/** Claims the mask for this dropout. Throws Error if another dropout of the step has it. */
function claim(x: Tensor, { seed, stream = 0, step }: DropoutOptions, by: object, pass: Pass) {
  const draws = `seed ${seed}, step ${valueOf(step)} and stream ${stream}`
  if (x.gpu.claim?.(`dropout ${draws}`, by, pass) === false)
    throw new Error(
      `dropout: a dropout with ${draws} was made in this step already, so both would drop the same elements; give each layer and view a stream of its own, such as { stream: layers * mode.pass + layer }`,
    )
}

function masked(run: Run, x: Tensor, { p, key: [key0, key1] }: Attrs): Tensor {
  const scale = p < 1 ? 1 / (1 - p) : 0
  return pointwise(run, dropoutKernel, [x], { key0, key1, p, scale })
}

const applyDropout = op(dropoutOp)

export interface DropoutOptions {
  readonly seed: number
  /** The number of the step; each drops other elements. In a captured step, `() => state.step`. */
  readonly step: Scalar
  /** The number of this dropout within a step, different for each layer, view and chunk
   *  (`Mode.pass`). 0 by default. */
  readonly stream?: number
  readonly training?: boolean
}

/** Drops each element of x with probability p and scales the others by 1 / (1 - p). Returns x
 *  itself when not training. The dropped elements depend on seed, stream, step and position alone.
 *  Throws RangeError for p outside [0, 1]. Throws Error for a second dropout with the same seed,
 *  stream and step in one step, or outside of steps in one backward pass; `noGrad` does not
 *  count. */
export function dropout(x: Tensor, p: number, options: DropoutOptions): Tensor {
  const { seed, step, stream = 0, training = true } = checkOptions('dropout', options ?? {}, rules)
  checkTensor('dropout', 'x', x)
  if (!(typeof p === 'number' && p >= 0 && p <= 1))
    throw new RangeError(`dropout: p must lie in [0, 1], got ${describe(p)}`)
  if (!training || p === 0) return x
  const attrs = { p, key: streamKey(seed, stream, step), options: { seed, step, stream } }
  claim(x, attrs.options, attrs, 'forward')
  return applyDropout(attrs, x)
}

const rules = { seed: needed(whole), step: needed(scalar), stream: whole, training: flag }
