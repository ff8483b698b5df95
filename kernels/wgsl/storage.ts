// Images in memory: f32, or f16 in half the bytes (`Run.activations`). Kernels compute in f32
// either way: they read an image as `array<S>` by `widen` and write it by `narrow`.
//
// Four f16s are two pairs in a vec2u, so that a device needs no f16 in its shaders, and the
// channels of an f16 image are a multiple of four.

import {
  type DType,
  type Kernel,
  type Op,
  type Run,
  type Shape,
  type Tensor,
  type Wgsl,
  flatIndex,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import { perElement } from './pointwise.ts'
import { byWidth, fours, widthOf } from './widths.ts'

/** `widen4(stored) -> vec4f`: four f16s. */
export const widen4 = wgsl`
  fn widen4(stored: vec2u) -> vec4f { return vec4f(unpack2x16float(stored.x), unpack2x16float(stored.y)); }
`
/** `narrow4(numbers) -> vec2u`: as f16s. Numbers that round to more than 65,504 become infinite, or
 *  NaN, by their exponent: WGSL leaves open what `pack2x16float` makes of them. */
export const narrow4 = wgsl`
  fn narrow4(numbers: vec4f) -> vec2u {
    let large = select(vec4u(), vec4u(0x7c00u), abs(numbers) >= vec4f(65520.0));
    return vec2u(pack2x16float(numbers.xy), pack2x16float(numbers.zw)) | large.xz | (large.yw << vec2u(16u));
  }
`

const inF32 = wgsl`
  alias S = F;
  fn widen(stored: S) -> F { return stored; }
  fn narrow(numbers: F) -> S { return numbers; }
`
const inF16 = wgsl`
  ${widen4}
  ${narrow4}
  alias S = vec2u;
  fn widen(stored: S) -> F { return widen4(stored); }
  fn narrow(numbers: F) -> S { return narrow4(numbers); }
`

/** What `byStorage` gives for f16. */
export const f16Fours = wgsl`${fours}${inF16}`

/** The kernel that `make` builds for images like `x`, whose rows are `count` numbers long. It is
 *  written in terms of F, U and B (widths.ts), and of S, `widen` and `narrow`. */
export function byStorage(
  make: (types: Wgsl) => Kernel,
): (x: { readonly dtype: DType }, count: number) => Kernel {
  const inFull = byWidth((types) => make(wgsl`${types}${inF32}`))
  const inHalf = make(f16Fours)
  return ({ dtype }, count) => (dtype === 'f16' ? inHalf : inFull(count))
}

/** Runs a kernel over tensors of one shape and element type. Its Params are `count`. */
export function storedPointwise(
  run: Run,
  make: ReturnType<typeof byStorage>,
  reads: readonly [Tensor, ...Tensor[]],
): Tensor {
  const [{ shape, dtype }] = reads
  const width = widthOf(sizeOf(shape))
  return perElement(run, make({ dtype }, width), { shape, dtype }, { reads, width })
}

/** The shape of an image and how it is stored. */
export interface Image {
  readonly shape: Shape
  readonly dtype: DType
}

/** An image of this shape that a convolution makes: in f16 where the user allows it and its
 *  channels are a multiple of four. */
export const imageOf = (run: Run, shape: Shape): Image => ({
  shape,
  dtype: run.activations === 'f16' && (shape.at(-1) ?? 1) % 4 === 0 ? 'f16' : 'f32',
})

const convertKernels = (name: Wgsl, from: Wgsl, to: Wgsl, call: Wgsl) =>
  byStorage(
    (types) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x: array<${from}>;
  @group(0) @binding(1) var<storage, read_write> y: array<${to}>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = ${call}(x[i]); }
  }
`,
  )

const converting = {
  f32: convertKernels(wgsl`widenImages`, wgsl`S`, wgsl`F`, wgsl`widen`),
  f16: convertKernels(wgsl`narrowImages`, wgsl`F`, wgsl`S`, wgsl`narrow`),
}

/** x, of a multiple of four numbers, as f32 or f16; x itself if it is that already. */
export function storedAs(run: Run, dtype: DType, x: Tensor): Tensor {
  if (x.dtype === dtype || (dtype !== 'f32' && dtype !== 'f16')) return x
  const program = converting[dtype]({ dtype: 'f16' }, 4)
  return perElement(run, program, { shape: x.shape, dtype }, { reads: [x], width: 4 })
}

/** Two images, and how both are stored: in f32 unless both are in f16. */
export function alike(run: Run, a: Tensor, b: Tensor): [a: Tensor, b: Tensor, dtype: DType] {
  const dtype = a.dtype === 'f16' && b.dtype === 'f16' ? 'f16' : 'f32'
  return [storedAs(run, dtype, a), storedAs(run, dtype, b), dtype]
}

/** f16 images as f32, for an op that takes no f16. The engine calls it. */
export const widenOp: Op<[x: Tensor]> = {
  name: 'widen',
  accepts: ['float'],
  shape: (_, x) => x,
  forward: (run, _, x) => [storedAs(run, 'f32', x)],
  backward: (run, _, [dy]) => [storedAs(run, 'f16', dy)],
}
