// GELU (Hendrycks and Gimpel 2016): x Φ(x), with Φ the distribution function of the standard normal
// distribution; or, as GPT-2 and others have it, x (1 + tanh(u)) / 2 = x sigmoid(2u) with
// u = √(2/π) (x + 0.044715 x³).

import { type Tensor, wgsl } from '../op.ts'
import { checkOptions, oneOf } from '../options.ts'
import { notANumber } from '../wgsl/nan.ts'
import { logistic } from './sigmoid.ts'
import { unary } from './unary.ts'

// Φ(x) = erfc(-x / √2) / 2. The polynomials are Cephes' (https://netlib.org/cephes/single.tgz,
// ndtrf.c): erf(z) = z T(z²) below 1, erfc(z) = exp(-z²) / z P(1/z²) beyond. Small results keep
// their digits, where 1 + erf would lose them.
const normal = wgsl`
  ${notANumber}
  fn upperTail(z: f32) -> f32 {
    let q = 1.0 / (z * z);
    let near = (((((((2.326819970068386e-2 * q - 1.387039388740657e-1) * q
      + 3.687424674597105e-1) * q - 5.824733027278666e-1) * q + 6.210004621745983e-1) * q - 4.944515323274145e-1) * q
      + 3.404879937665872e-1) * q - 2.741127028184656e-1) * q + 5.638259427386472e-1;
    let far = ((((((-1.047766399936249e+1 * q + 1.297719955372516e+1) * q - 7.495518717768503) * q
      + 2.921019019210786) * q - 1.015265279202700) * q + 4.218463358204948e-1) * q
      - 2.820767439740514e-1) * q + 5.641895067754075e-1;
    return exp(-z * z) * select(far, near, z < 2.0) / z;
  }
  fn normalBelow(x: f32) -> f32 {
    if (notANumber(x)) { return x; }
    let z = x * 0.70710678118654752;
    if (abs(z) >= 1.0) {
      let tail = 0.5 * upperTail(min(abs(z), 12.0)); // which is 0 in f32
      return select(tail, 1.0 - tail, z > 0.0);
    }
    let s = z * z;
    let t = (((((7.853861353153693e-5 * s - 8.010193625184903e-4) * s + 5.188327685732524e-3) * s
      - 2.685381193529856e-2) * s + 1.128358514861418e-1) * s - 3.761262582423300e-1) * s
      + 1.128379165726710;
    return 0.5 + 0.5 * z * t;
  }
  fn normalDensity(x: f32) -> f32 { return 0.39894228040143268 * exp(-0.5 * x * x); }
`

const exact = unary({
  name: 'gelu',
  y: { uses: normal, is: wgsl`x * normalBelow(x)` },
  dx: {
    from: 'x',
    uses: normal,
    is: wgsl`dy * (normalBelow(x) + x * normalDensity(x))`,
  },
})

// s = sigmoid(2u):  dx = dy (s + x s (1 - s) 2u')
const approximation = wgsl`
  ${logistic}
  ${notANumber}
  fn inner(x: f32) -> f32 { // 2u; beyond +-12 the sigmoid is 0 or 1
    let v = clamp(x, -12.0, 12.0);
    return 1.5957691216057308 * v * (1.0 + 0.044715 * v * v);
  }
  fn slope(x: f32) -> f32 {
    if (notANumber(x)) { return x; }
    let v = clamp(x, -12.0, 12.0);
    let t = inner(x);
    let rate = 1.5957691216057308 * (1.0 + 0.134145 * v * v);
    return logistic(t) * (1.0 + v * logistic(-t) * rate);
  }
`

const byTanh = unary({
  name: 'geluTanh',
  y: { uses: approximation, is: wgsl`x * logistic(inner(x))` },
  dx: { from: 'x', uses: approximation, is: wgsl`dy * slope(x)` },
})

export interface GeluOptions {
  /** 'none', the default: x Φ(x), accurate to f32. 'tanh': the approximation of GPT-2, off by up to
   *  5e-4. */
  readonly approximate?: 'none' | 'tanh'
}

const rules = { approximate: oneOf('none', 'tanh') }

/** x Φ(x), elementwise, like torch's gelu. NaN stays NaN. */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  const { approximate = 'none' } = checkOptions('gelu', options, rules)
  return approximate === 'tanh' ? byTanh(x) : exact(x)
}
