// Noise-contrastive estimation against rows of a memory bank, the loss of Instance Discrimination
// (Wu et al. 2018, https://arxiv.org/abs/1805.01978, Eqs. 5 to 7).
//
//   f [N, C] features, v [N, C] their own slots, noise [m, C], unit rows
//   s = f·v / T   P = exp(s) / Z   Pn = 1 / n
//   h = P / (P + m Pn) = sigmoid(s - c),  c = log Z + log(m / n)
//   loss = 1/N Σ_i (-log h(v_i) - Σ_j log(1 - h(noise_j)))
//        = 1/N Σ_i (softplus(c - s_i) + Σ_j softplus(s_ij - c))

import { checkTensor, checkValue, having } from '../options.ts'
import { type Scalar, type Tensor, dim } from '../op.ts'
import { add } from '../elementwise/add.ts'
import { affine } from '../wgsl/affine.ts'
import { matmul } from '../matmul/matmul.ts'
import { mul } from '../elementwise/mul.ts'
import { checkTemperature, currentTemperature } from '../similarity/pairs.ts'
import { softplus } from '../elementwise/softplus.ts'
import { sub } from '../elementwise/sub.ts'
import { sum } from '../reduce/sum.ts'

/** Similarities of N features, divided by the temperature, as `similarities` computes and `nce`
 *  takes them. */
export interface Similarities {
  /** [N, 1], of each feature with its own row of the memory bank. */
  readonly own: Tensor
  /** [N, m], of each feature with m rows of noise. */
  readonly noise: Tensor
}

/** Computes f·v / T of features f [N, C], unit rows, with their slots v [N, C] and with noise
 *  [m, C], for a number T or a function that returns the step's. Throws ShapeError, and RangeError
 *  for T. */
export function similarities(f: Tensor, v: Tensor, noise: Tensor, T: Scalar): Similarities {
  checkTemperature('similarities', currentTemperature('similarities', T))
  const inverse = typeof T === 'function' ? () => 1 / T() : 1 / T
  return {
    own: affine(sum(mul(f, v), [1], { keepDims: true }), inverse, 0),
    noise: affine(matmul(f, noise, { transB: true }), inverse, 0),
  }
}

/** The NCE loss of similarities -> []. The constant c = log Z + log(m / n) has any shape that
 *  broadcasts to both. All features share one draw of noise; the original code draws for each. */
export function nce(s: Similarities, c: Tensor): Tensor {
  const { own, noise } = checkValue(
    'nce',
    's',
    s,
    having('what similarities returns', 'own', 'noise'),
  )
  checkTensor('nce', 'own', own)
  return affine(
    add(sum(softplus(sub(c, own))), sum(softplus(sub(noise, c)))),
    1 / dim(own.shape, 0),
    0,
  )
}
