// Labels and indices: whole numbers in a plain array, which is checked here before anything runs,
// or in an i32 or f32 tensor, whose values only the kernel sees.

import { flatNumbers } from '../numbers.ts'
import { type Run, type Shape, type Tensor, type TypedValues, flatIndex, kernel } from '../op.ts'
import { describe, isTensor } from '../options.ts'
import { perElement } from './pointwise.ts'

/** Whole numbers as callers give them. */
export type Indices = Tensor | IndexList

/** Whole numbers in a flat array. */
export type IndexList = readonly number[] | TypedValues

export const isIndexTensor = (indices: Indices): indices is Tensor =>
  typeof indices === 'object' && indices !== null && 'gpu' in indices // plain JavaScript may give anything

/** Throws TypeError unless these are a tensor or an array of numbers. */
export function checkIndices(name: string, what: string, indices: unknown) {
  const isList =
    Array.isArray(indices) || (ArrayBuffer.isView(indices) && !(indices instanceof DataView))
  if (!isList && !isTensor(indices))
    throw new TypeError(
      `${name}: ${what} must be an array of whole numbers or a tensor, got ${describe(indices)}`,
    )
}

/** The indices as a tensor on x's GPU. A plain array gets `shape`, by default its length. Throws
 *  RangeError for an index of a plain array that is outside [0, size) and is not `ignore`. Messages
 *  call the indices `what`. */
export function indexTensor(
  name: string,
  x: Tensor,
  indices: Indices,
  {
    shape,
    size,
    ignore,
    what = 'indices',
  }: {
    readonly shape?: Shape
    readonly size: number
    readonly ignore?: number
    readonly what?: string
  },
): Tensor {
  checkIndices(name, what, indices)
  if (isIndexTensor(indices)) return indices
  const list = Array.from(flatNumbers(`${name}: ${what}`, indices))
  for (const [i, index] of list.entries())
    if (index !== ignore && (!Number.isInteger(index) || index < 0 || index >= size))
      throw new RangeError(
        `${name}: ${what} must be whole numbers from 0 to ${size - 1}, got ${index} at ${i}`,
      )
  return x.gpu.tensor(Int32Array.from(list), shape ?? [list.length])
}

/** Stands for an f32 that is no whole number: never a valid index, never ignored. */
export const NO_INDEX = -0x80000000

const integerKernel = kernel`
  struct Params { count: u32, noIndex: i32 }
  @group(0) @binding(0) var<storage, read>       x:   array<u32>; // the bits of f32: a compiler may assume no NaN
  @group(0) @binding(1) var<storage, read_write> out: array<i32>;
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn toIntegers(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let v = bitcast<f32>(x[i]);
    let small = (x[i] & 0x7fffffffu) < 0x4f000000u; // |v| < 2^31
    var index = p.noIndex;
    if (small && v == trunc(v)) { index = i32(v); }
    out[i] = index;
  }
`

/** The indices as i32, for use inside ops; NO_INDEX where one is not whole. */
export function asIntegers(run: Run, indices: Tensor): Tensor {
  if (indices.dtype === 'i32') return indices
  const make = { shape: indices.shape, dtype: 'i32' } as const
  return perElement(run, integerKernel, make, { reads: [indices], params: { noIndex: NO_INDEX } })
}
