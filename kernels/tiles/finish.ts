// The last step of a tiled product, on sums that are still in registers, which saves a pass over y:
// ReLU, the mask of a ReLU in its backward pass, or another tensor of y's shape added.

import { type Tensor, type Wgsl, wgsl } from '../op.ts'
import { type BufferFormat, element, unpacked } from './loader.ts'

/** The last step of a product: max(y, 0), NaN staying NaN; y where `other` let ReLU through, else
 *  0; or y + other. `other` is of y's shape and element type. */
export type Finish =
  | { readonly how: 'rectify' }
  | { readonly how: 'mask'; readonly other: Tensor }
  | { readonly how: 'add'; readonly other: Tensor }

/** The kinds of a last step, as a kernel's text depends on them; null for none. */
export type FinishKind = Finish['how'] | null

/** The tensor that a last step reads; null where it reads none. */
export const otherOf = (finish: Finish | null): Tensor | null =>
  finish && 'other' in finish ? finish.other : null

/** Whether a last step binds another tensor. */
export const readsOther = (kind: FinishKind): boolean => kind === 'mask' || kind === 'add'

const values = {
  rectify: wgsl`select(sums, vec4f(), (sums < vec4f()) & !notNumbers4(sums))`,
  mask: wgsl`select(vec4f(), sums, (otherAt(at, count) > vec4f()) | notNumbers4(otherAt(at, count)))`,
  add: wgsl`sums + otherAt(at, count)`,
}

/** `finish(at, count, sums) -> vec4f`: the last step of the first `count` of four numbers at y's
 *  element `at`, and the binding `other`, if it reads one, in y's format. */
export function finishSnippet(kind: FinishKind, number: Wgsl, memory: BufferFormat): Wgsl {
  if (kind === null)
    return wgsl`fn finish(at: u32, count: u32, sums: vec4f) -> vec4f { return sums; }`
  return wgsl`
      ${readsOther(kind) ? otherSnippet(number, memory) : wgsl``}
      fn notNumbers4(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u); }
      fn finish(at: u32, count: u32, sums: vec4f) -> vec4f { return ${values[kind]}; }
  `
}

const otherSnippet = (number: Wgsl, memory: BufferFormat): Wgsl => wgsl`
      @group(0) @binding(${number}) var<storage, read> other: array<${element(memory)}>; // as y
      fn otherAt(at: u32, count: u32) -> vec4f {
        ${
          memory === 'f32'
            ? wgsl`var numbers = vec4f();
        for (var i = 0u; i < 4u; i++) {
          if (i < count) { numbers[i] = other[at + i]; }
        }
        return numbers;`
            : wgsl`return ${unpacked(memory, wgsl`other[at / 4u]`)};`
        }
      }
`
