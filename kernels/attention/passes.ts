// The four passes of attention, and the choice of their form: a CPU adapter whose subgroups have
// eight lanes or more (stream-software.ts), or any other (stream-registers.ts).

import {
  type Kernel,
  type Run,
  type Shape,
  type Tensor,
  dim,
  folded,
  form,
  kernel,
  ownOf,
  wgsl,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import type { HeadFormat, AttentionPass } from './pass.ts'
import { type Fours, REGISTER_ROWS, featuresOf, registerStream } from './stream-registers.ts'

const forwardPass: AttentionPass = {
  name: wgsl`attentionForward`,
  queries: 'rows',
  reads: ['q', 'k', 'v'],
  scores: ['q', 'k'],
  second: null,
  values: 'v',
  weight: null,
  delta: false,
  factor: wgsl`1.0`,
}

const dqPass: AttentionPass = {
  name: wgsl`attentionDq`,
  queries: 'rows',
  reads: ['q', 'k', 'v', 'dout'],
  scores: ['q', 'k'],
  second: ['dout', 'v'],
  values: 'k',
  weight: wgsl`exp(s - lse) * (t - delta)`,
  delta: true,
  factor: wgsl`p.scale`,
}

const dkPass: AttentionPass = {
  ...dqPass,
  name: wgsl`attentionDk`,
  queries: 'columns',
  scores: ['k', 'q'],
  second: ['v', 'dout'],
  values: 'q',
}

const dvPass: AttentionPass = {
  name: wgsl`attentionDv`,
  queries: 'columns',
  reads: ['q', 'k', 'dout'],
  scores: ['k', 'q'],
  second: null,
  values: 'dout',
  weight: wgsl`exp(s - lse)`,
  delta: false,
  factor: wgsl`1.0`,
}

/** What every pass is told. */
export interface Heads {
  readonly scale: number
  readonly causal: boolean
  /** How many keys each image has, i32 [N]; null for all. */
  readonly lengths: Tensor | null
}

/** The kernel of a pass on an adapter on the CPU, whose workgroups have so many rows. */
export const streamForm = form<{
  readonly rows: number
  readonly kernel: (pass: AttentionPass, memory: HeadFormat) => Kernel
}>()

const kernels = new Map<string, Kernel>()

function kernelFor(
  run: Run,
  pass: AttentionPass,
  D: number,
): { program: Kernel; rows: number; features: number } {
  const memory: HeadFormat = D % 4 === 0 ? 'f32x4' : 'f32'
  const own = ownOf(run, streamForm)
  const fours: Fours = D <= featuresOf(1) ? 1 : D <= featuresOf(2) ? 2 : 4
  const key = `${pass.name} ${memory} ${own ? 0 : fours}`
  const program =
    kernels.get(key) ?? own?.kernel(pass, memory) ?? registerStream(pass, memory, fours)
  kernels.set(key, program)
  return own
    ? { program, rows: own.rows, features: D }
    : { program, rows: REGISTER_ROWS, features: featuresOf(fours) }
}

/** Runs a pass. `tensors` are its reads, lengths and statistics aside; the result has the shape of
 *  the `rows`, which are compared with `columns`. */
function runPass(
  run: Run,
  pass: AttentionPass,
  { scale, causal, lengths }: Heads,
  of: {
    readonly rows: Tensor
    readonly columns: Tensor
    readonly reads: readonly [Tensor, ...Tensor[]]
    readonly statistics: readonly Tensor[]
  },
): Tensor[] {
  const { shape } = of.rows
  const [N, T, H, D] = [dim(shape, 0), dim(shape, 1), dim(shape, 2), dim(shape, 3)]
  const { program, rows, features } = kernelFor(run, pass, D)
  const makes: Shape[] = pass.weight === null ? [shape, [N, H, T]] : [shape]
  return run(program, {
    reads: [...of.reads, lengths ?? of.reads[0], ...of.statistics],
    makes,
    params: {
      ...{ images: N, rows: T, columns: dim(of.columns.shape, 1), heads: H, D, scale },
      ...{ causal: Number(causal), limited: Number(lengths !== null) },
    },
    groups: [...folded(Math.ceil(T / rows) * N * H), Math.ceil(D / features)],
  })
}

/** Attention's result [N, Tq, H, D] and the logsumexp of each query's scores, [N, H, Tq]. */
export function attendForward(run: Run, q: Tensor, k: Tensor, v: Tensor, heads: Heads) {
  const of = { rows: q, columns: k, reads: [q, k, v], statistics: [] } as const
  return runPass(run, forwardPass, heads, of)
}

const deltaKernel = kernel`
  struct Params { count: u32, R: u32, B: u32, queries: u32, heads: u32 }
  @group(0) @binding(0) var<storage, read>       out:   array<f32>; // [N, Tq, H, D]
  @group(0) @binding(1) var<storage, read>       dout:  array<f32>; // [N, Tq, H, D]
  @group(0) @binding(2) var<storage, read_write> delta: array<f32>; // [N, H, Tq]
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${lines}
  @compute @workgroup_size(64)
  fn attentionDelta(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, wgsl`out[start + r] * dout[start + r]`)}
    let product = lineSum(thread, sum);
    let place = line / p.heads;
    let image = place / p.queries;
    let row = (image * p.heads + line - place * p.heads) * p.queries + place - image * p.queries;
    if (lane == 0u) { delta[row] = product; }
  }
`

/** out_i . dout_i, [N, H, Tq]. */
function deltaOf(run: Run, out: Tensor, dout: Tensor): Tensor {
  const [N, queries, heads, R] = out.shape as [number, number, number, number] // as checked
  const count = N * queries * heads
  const [delta] = run(deltaKernel, {
    reads: [out, dout],
    makes: [[N, heads, queries]],
    params: { count, R, B: 1, queries, heads },
    ...perLine(run, count, R),
  })
  return delta
}

/** What the forward pass leaves. */
interface Saved {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly out: Tensor
  readonly lse: Tensor
}

/** The gradients of q, k and v that are needed. */
export function attendBackward(
  run: Run,
  { q, k, v, out, lse }: Saved,
  dout: Tensor,
  heads: Heads,
  [dqNeeded, dkNeeded, dvNeeded]: readonly boolean[],
): (Tensor | null)[] {
  const delta = dqNeeded || dkNeeded ? deltaOf(run, out, dout) : lse
  const scores = { reads: [q, k, v, dout], statistics: [lse, delta] } as const
  const overKeys = { rows: q, columns: k, ...scores }
  const overQueries = { rows: k, columns: q, ...scores }
  const sums = { rows: k, columns: q, reads: [q, k, dout], statistics: [lse] } as const
  const [dq = null] = dqNeeded ? runPass(run, dqPass, heads, overKeys) : []
  const [dk = null] = dkNeeded ? runPass(run, dkPass, heads, overQueries) : []
  const [dv = null] = dvNeeded ? runPass(run, dvPass, heads, sums) : []
  return [dq, dk, dv]
}
