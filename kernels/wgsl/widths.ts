// Kernels that take one number or four at a time. A load of four costs half as much per number, on a GPU and on a CPU
// adapter alike.

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

/** How many numbers go together where `count` of them lie in a row: 4 or 1. */
export const widthOf = (count: number) => (count % 4 === 0 ? 4 : 1)

/** The kernel that `make` writes in terms of F, the numbers that go together, U, as many u32, and B, as many bools, for rows of `count`. */
export function byWidth(make: (types: Wgsl) => Kernel): (count: number) => Kernel {
  const [narrow, wide] = [make(one), make(fours)]
  return (count) => (widthOf(count) === 4 ? wide : narrow)
}
