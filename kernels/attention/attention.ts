// Scaled dot-product attention, streamed: out_i = Σ_j softmax_j(scale q_i . k_j) v_j. The tiles of
// the scores exist one at a time, in the forward and the backward pass (pass.ts).

import { type Op, type Shape, type Tensor, ShapeError, dim, op, show, sizeOf } from '../op.ts'
import { anything, checkOptions, checkTensor, flag, rule } from '../options.ts'
import { type Heads, attendForward, attendBackward } from './passes.ts'

type Attrs = Omit<Heads, 'lengths'>

function outputShape(q: Shape, k: Shape, v: Shape, lengths?: Shape): Shape {
  const all = `got q ${show(q)}, k ${show(k)} and v ${show(v)}`
  if ([q, k, v].some((shape) => shape.length !== 4))
    throw new ShapeError(`attention: q, k and v must be [N, T, heads, D], ${all}`)
  if (k.join() !== v.join()) throw new ShapeError(`attention: k and v must have one shape, ${all}`)
  if (q[0] !== k[0] || q[2] !== k[2] || q[3] !== k[3])
    throw new ShapeError(`attention: q and k may differ in their number of tokens alone, ${all}`)
  if ([...q.slice(1), ...k.slice(1)].includes(0))
    throw new ShapeError(`attention: needs at least one token, head and feature, ${all}`)
  if (lengths && (lengths.length !== 1 || lengths[0] !== q[0]))
    throw new ShapeError(
      `attention: lengths must have one number per sample, got ${show(lengths)} for q ${show(q)}`,
    )
  return q
}

/** Of the two products; masks and causality aside, as PyTorch counts them. */
const flopsOf = (q: Shape, k: Shape) => 4 * sizeOf(q) * dim(k, 1)

type Outputs = [out: Tensor, lse: Tensor]

const attentionOp: Op<[q: Tensor, k: Tensor, v: Tensor], Outputs, Attrs> = {
  name: 'attention',
  shape: (_, q, k, v) => outputShape(q, k, v),
  flops: (_, q, k) => flopsOf(q, k),
  forward: (run, attrs, q, k, v) =>
    attendForward(run, q, k, v, { ...attrs, lengths: null }) as Outputs,
  backward: (run, attrs, [dout], [q, k, v], [out, lse], needs) =>
    attendBackward(run, { q, k, v, out, lse }, dout, { ...attrs, lengths: null }, needs),
}

const limitedOp: Op<[q: Tensor, k: Tensor, v: Tensor, lengths: Tensor], Outputs, Attrs> = {
  name: 'attention',
  accepts: ['f32', 'f32', 'f32', 'i32'],
  shape: (_, q, k, v, lengths) => outputShape(q, k, v, lengths),
  flops: (_, q, k) => flopsOf(q, k),
  forward: (run, attrs, q, k, v, lengths) =>
    attendForward(run, q, k, v, { ...attrs, lengths }) as Outputs,
  backward: (run, attrs, [dout], [q, k, v, lengths], [out, lse], needs) => [
    ...attendBackward(run, { q, k, v, out, lse }, dout, { ...attrs, lengths }, needs),
    null,
  ],
}

const apply = op(attentionOp, 'q', 'k', 'v')
const applyLimited = op(limitedOp, 'q', 'k', 'v', 'lengths')

/** Options of `attention`. */
export interface AttentionOptions {
  /** Factor of the scores; 1 / sqrt(D) by default, as in PyTorch. */
  readonly scale?: number
  /** True lets query i attend to the keys 0 to i only, as PyTorch's `is_causal`; false by
   *  default. */
  readonly causal?: boolean
  /** i32 [N]: how many of a sample's keys count, the first ones; all by default. A query that has
   *  none gets 0, and gives no gradient. */
  readonly lengths?: Tensor | null
}

const finite = rule('a finite number', (v) => typeof v === 'number' && Number.isFinite(v))

/** Scaled dot-product attention of each head: the rows of softmax(scale q k^T) v. q [N, Tq, heads,
 *  D], k and v [N, Tk, heads, D] -> [N, Tq, heads, D]. A reshape of what `linear` makes has this
 *  layout; PyTorch's `scaled_dot_product_attention` takes [N, heads, T, D].
 *
 *  It computes in f32 whatever the precision, and takes memory O(Tq + Tk): no matrix of scores is
 *  stored, in either direction (Dao 2023, https://arxiv.org/abs/2307.08691). NaN or infinity in a
 *  key or a value reaches queries that do not attend to it too, as 0 times NaN does in PyTorch,
 *  unless `lengths` excludes it. Throws ShapeError, TypeError. */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const rules = { scale: finite, causal: flag, lengths: anything }
  const { scale, causal = false, lengths } = checkOptions('attention', options, rules)
  checkTensor('attention', 'q', q)
  const attrs = { scale: scale ?? 1 / Math.sqrt(q.shape.at(-1) ?? 1), causal }
  return lengths ? applyLimited(attrs, q, k, v, lengths) : apply(attrs, q, k, v)
}
