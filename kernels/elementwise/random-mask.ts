// The mask of dropout and of stochastic depth. `each` neighbouring elements of a sample share a
// draw, and are dropped when it is below p; the others are scaled by 1 / (1 - p), so that
// evaluation has nothing to do. The backward pass draws again.

import {
  type Op,
  type Pass,
  type Run,
  type Tensor,
  flatIndex,
  kernel,
  op,
  sizeOf,
  valueOf,
} from '../op.ts'
import { zeroTimes } from '../wgsl/nan.ts'
import { type Draws, drawOf, drawParams, drawRules, streamRule } from '../wgsl/draws.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { type Rules, checkOptions, checkTensor, describe, flag, needed } from '../options.ts'

const maskKernel = kernel`
  struct Params {
    count: u32, key0: u32, key1: u32, view: u32, offset: u32, perView: u32, size: u32, each: u32,
    p: f32, scale: f32
  }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [N, size]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${drawOf}
  ${zeroTimes}
  @compute @workgroup_size(64)
  fn randomMask(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let draw = uniform01(drawOf(i / p.size, i % p.size / p.each).x);
    y[i] = select(zeroTimes(x[i]), p.scale * x[i], draw >= p.p);
  }
`

/** Options of `dropout` and `dropPath`: what the draws depend on, and the layer. */
export interface MaskOptions extends Draws {
  /** Name or number of the layer, another one for each layer of a network. */
  readonly stream: string | number
  /** False returns x unchanged; true by default. */
  readonly training?: boolean
}

interface Attrs {
  readonly p: number
  readonly options: MaskOptions
  /** Neighbouring elements of a sample that share a draw. */
  readonly each: 'element' | 'sample'
}

const maskOp = (name: string): Op<[x: Tensor], [y: Tensor], Attrs> => ({
  name,
  shape: (_, x) => x,
  forward: (run, attrs, x) => [masked(run, x, attrs, name)],
  backward(run, attrs, [dy], [x]) {
    claim(name, x, attrs, 'backward')
    return [masked(run, dy, attrs, name)]
  },
})

/** Claims the mask of each view for this call. Throws Error if another one of the step has it. */
function claim(name: string, x: Tensor, attrs: Attrs, pass: Pass) {
  const { seed, step, stream, view = 0, views = 1, offset = 0, network } = attrs.options
  const whose = network === undefined ? '' : `, network '${network}'`
  const layer = typeof stream === 'string' ? `'${stream}'` : stream
  for (let v = view; v < view + views; v++) {
    const draws = `seed ${seed}, step ${valueOf(step)}, view ${v}, offset ${offset}${whose} and stream ${layer}`
    if (x.gpu.claim?.(`mask of ${draws}`, attrs, pass) === false)
      throw new Error(
        `${name}: a mask with ${draws} was drawn in this step already, so both would drop the same elements; give each layer a stream of its own, each pass a view, and each network a name, as in { ...draws, network: 'text', stream: 'fc1' }`,
      )
  }
}

function masked(run: Run, x: Tensor, { p, each, options }: Attrs, name: string): Tensor {
  const { shape } = x
  const { stream, training: _, ...draws } = options
  const N = shape[0] ?? 1
  const size = Math.max(1, sizeOf(shape.slice(1)))
  const scale = p < 1 ? 1 / (1 - p) : 0
  return pointwise(run, maskKernel, [x], {
    ...drawParams(draws, stream, N, name),
    ...{ size, each: each === 'sample' ? size : 1, p, scale },
  })
}

const rules: Rules<MaskOptions> = {
  ...drawRules,
  ...{ stream: needed(streamRule), training: flag },
}

/** Makes the public function that drops elements or samples. */
export function randomMask(name: string, each: Attrs['each']) {
  const apply = op(maskOp(name))
  return (x: Tensor, p: number, given: MaskOptions): Tensor => {
    const options = checkOptions(name, given ?? ({} as MaskOptions), rules) // throws where missing
    checkTensor(name, 'x', x)
    if (!(typeof p === 'number' && p >= 0 && p <= 1))
      throw new RangeError(`${name}: p must lie in [0, 1], got ${describe(p)}`)
    if (options.training === false || p === 0) return x
    const attrs = { p, options, each }
    claim(name, x, attrs, 'forward')
    return apply(attrs, x)
  }
}
