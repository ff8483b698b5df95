// Decoupled contrastive learning (Yeh et al. 2022, https://arxiv.org/abs/2110.06848): NT-Xent
// without the positive in its own denominator, so that the gradient of an easy pair does not
// vanish.
//
//   L_DC  = 1/2N Σ_i (logsumexp_{j negative} s_ij - s_i,pos)
//   L_DCW = 1/2N Σ_i (logsumexp_{j negative} s_ij - w_n s_i,pos)
//   with w_n = 2 - N softmax_n(cos_n / σ), where cos_n is the cosine of the two views of image n
//
// w is a constant to the gradient, unless `detachWeights` is false, as in the authors' code. Then,
// with p_n = softmax_n(cos_n / σ),
//   dL_DCW / ds_n,pos = -w_n / N + T/σ p_n (s_n,pos - Σ_m p_m s_m,pos)

import { type Run, type Scalar, type Tensor, derive, kernel, op } from '../op.ts'
import { lines } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'
import { contrast } from './ntxent.ts'
import { type Temperature, atTemperature } from './temperature.ts'
import {
  type Pairs,
  type Unit,
  checkTemperature,
  currentTemperature,
  isUnit,
} from '../similarity/pairs.ts'
import { anything, checkOptions, flag } from '../options.ts'

const weightsKernel = kernel`
  struct Params { N: u32, view: u32, perSigma: f32, detached: u32 }
  @group(0) @binding(0) var<storage, read>       plain:    array<f32>; // [loss | lse | share | positive, 2V]
  @group(0) @binding(1) var<storage, read_write> weighted: array<f32>; // the same planes
  @group(0) @binding(2) var<uniform>             p:        Params;
  ${lines}
  ${lowest}
  @compute @workgroup_size(64)
  fn dclWeights(@builtin(local_invocation_index) lane: u32) {
    let rows = 2u * p.view;
    var top = LOWEST;
    for (var n = lane; n < p.N; n += 64u) { top = max(top, plain[3u * rows + n] * p.perSigma); }
    let most = lineMax(lane, top);
    var sum = 0.0;
    for (var n = lane; n < p.N; n += 64u) { sum += exp(plain[3u * rows + n] * p.perSigma - most); }
    let total = lineSum(lane, sum);
    var own = 0.0; // the mean of s under p
    for (var n = lane; n < p.N; n += 64u) {
      let s = plain[3u * rows + n];
      own += exp(s * p.perSigma - most) / total * s;
    }
    let mean = lineSum(lane, own);
    for (var i = lane; i < rows; i += 64u) {
      let s = plain[3u * rows + i];
      let w = 2.0 - f32(p.N) * exp(s * p.perSigma - most) / total;
      let share = plain[2u * rows + i]; // 0 where padded or alone
      weighted[i] = plain[i] + share * (s - w * s);
      weighted[rows + i] = plain[rows + i];
      var slope = w; // of both views, times 2N; the derivative of w adds to it
      if (p.detached == 0u) { slope += (w - 2.0) * p.perSigma * (s - mean); }
      weighted[2u * rows + i] = share * slope;
      weighted[3u * rows + i] = s;
    }
  }
`

/** Applies the weights w to `rowStats`. Positives there are divided by T already, hence T / σ. */
const weighBy =
  (sigma: number, detachWeights: boolean) =>
  (run: Run, rowStats: Tensor, { N, view, T }: Pairs) => {
    const params = {
      N,
      view,
      perSigma: derive(T, (t) => t / sigma),
      detached: Number(detachWeights),
    }
    const [weighted] = run(weightsKernel, {
      reads: [rowStats],
      makes: [rowStats.shape],
      params,
      groups: [1],
    })
    return weighted
  }

const applyDcl = op(contrast('dcl', { decoupled: true }), 'z1', 'z2')

/** The decoupled loss of two views z1 [N, D] and z2 [N, D] -> [], at a temperature above 0 (0.1 in
 *  the paper), which gets a gradient if it is a tensor []. Rows are normalised inside unless
 *  `normalized`. Equals log(2N - 2) when all rows are equal, 0 for N = 1. Throws ShapeError,
 *  RangeError. */
export const dcl = (z1: Tensor, z2: Tensor, temperature: Temperature, options: Unit = {}) =>
  atTemperature(
    { name: 'dcl', temperature, normalized: isUnit('dcl', options) },
    [z1, z2],
    applyDcl,
  )

/** Options of `dclw`. */
export interface DclwOptions {
  /** σ, the temperature of the weights, above 0; 0.5 by default, as in the paper. */
  readonly sigma?: number
  /** True (default) makes the weights constants to the gradient. False differentiates them, as the
   *  authors' code does. */
  readonly detachWeights?: boolean
  /** True if rows have unit length already; false by default. */
  readonly normalized?: boolean
}

const dclwRules = { sigma: anything, detachWeights: flag, normalized: flag }

/** The weighted decoupled loss: positives have weight 2 - N softmax(cos / σ), so that hard ones
 *  count more. Otherwise like `dcl`. Throws ShapeError, and RangeError for the temperature and for
 *  sigma. */
export function dclw(z1: Tensor, z2: Tensor, temperature: Scalar, options: DclwOptions = {}) {
  const given = checkOptions('dclw', options, dclwRules)
  const { sigma = 0.5, detachWeights = true, normalized = false } = given
  checkTemperature('dclw', sigma, 'sigma')
  const now = currentTemperature('dclw', temperature)
  checkTemperature('dclw', now)
  const ratio = now / sigma
  if (ratio < 2 ** -126 || ratio > 2 ** 126)
    throw new RangeError(
      `dclw: the temperature over sigma must lie from 2^-126 to 2^126, got ${now} over ${sigma}`,
    )
  const dclwOp = contrast('dclw', { decoupled: true, weigh: weighBy(sigma, detachWeights) })
  return op(dclwOp, 'z1', 'z2')({ temperature, normalized }, z1, z2)
}
