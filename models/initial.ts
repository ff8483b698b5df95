// Initial values of parameters, each a pure function of (seed, name).

import { dim, sizeOf } from '../kernels/op.ts'
import { oneOf, rule } from '../kernels/options.ts'
import { normal, uniform } from '../engine/random.ts'

/** How a weight starts.
 *  'he': N(0, 2 / fan_out), as torchvision's ResNets (He et al. 2015).
 *  'torch': U(-1/√fan_in, 1/√fan_in), torch's default for convolutions and linear layers.
 *  'zero': 0. 'identity', for 1 x 1 convolutions: U(-0.01, 0.01), and 1 from each channel to
 *  itself. { std }: N(0, std²). */
export type Init = 'he' | 'torch' | 'zero' | 'identity' | { readonly std: number }

const words = oneOf('he', 'torch', 'zero', 'identity')

export const initRule = rule(
  `${words.words}, or { std } above 0`,
  (v) => words.fits(v) || Number(Object(v).std) > 0,
)

/** Draws a convolution's weight [kH, kW, C / groups, K]. */
export function initialFilters(
  seed: number,
  stream: string,
  shape: readonly number[],
  init: Init,
): Float32Array {
  const [count, K, C] = [sizeOf(shape), dim(shape, 3), dim(shape, 2)]
  if (init === 'zero') return new Float32Array(count)
  if (init === 'he') return normal(seed, stream, count, Math.sqrt((2 * C) / count))
  if (typeof init === 'object') return normal(seed, stream, count, init.std)
  const bound = init === 'torch' ? 1 / Math.sqrt(count / K) : 0.01
  const values = uniform(seed, stream, count, -bound, bound)
  if (init === 'identity') for (let c = 0; c < Math.min(C, K); c++) values[c * K + c] = 1
  return values
}

/** Draws a linear weight [K, C]. */
export function initialMatrix(
  seed: number,
  stream: string,
  [K, C]: readonly [number, number],
  init: Init,
): Float32Array {
  if (init === 'zero') return new Float32Array(K * C)
  if (typeof init === 'object') return normal(seed, stream, K * C, init.std)
  const bound = 1 / Math.sqrt(C)
  return uniform(seed, stream, K * C, -bound, bound)
}
