// Kernels that load one number or four at a time. A load of four costs half as much per number, on
// GPUs and on software adapters.

import { type Kernel, type Wgsl, wgsl } from '../op.ts'

const one = wgsl`
  alias F = f32;
  alias U = u32;
  alias B = bool;
`
/** F, U and B of four numbers at a time. */
export const fours = wgsl`
  alias F = vec4f;
  alias U = vec4u;
  alias B = vec4<bool>;
`

/** `notNumbers(x) -> B`: which of them are NaN, by their bits, as in nan.ts. */
export const notNumbers = wgsl`
  fn notNumbers(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
`

/** Numbers loaded at a time where all these counts and offsets lie in a row: 4 or 1. */
export const widthOf = (...counts: readonly number[]) =>
  counts.every((count) => count % 4 === 0) ? 4 : 1

/** The kernel that `make` builds for rows of such counts of numbers. It is written in terms of F,
 *  the numbers loaded at a time, and of U and B, as many u32 and bool; `width` is their number. */
export function byWidth(
  make: (types: Wgsl, width: 1 | 4) => Kernel,
): (...counts: readonly number[]) => Kernel {
  const [narrow, wide] = [make(one, 1), make(fours, 4)]
  return (...counts) => (widthOf(...counts) === 4 ? wide : narrow)
}
