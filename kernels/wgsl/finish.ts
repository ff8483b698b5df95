// The last step of a sum, on numbers that are still in registers, which saves a pass over the
// result: ReLU, the mask of a ReLU in its backward pass, or another tensor of the same shape added.

import { type Tensor, type Wgsl, wgsl } from '../op.ts'
import { reluSnippet } from './relu-mask.ts'
import { notNumbers } from './widths.ts'

/** max(y, 0), NaN staying NaN; y where `other` let ReLU through, else 0; or y + other. `other` is
 *  of y's shape and element type. */
export type LastStep =
  | { readonly how: 'rectify' }
  | { readonly how: 'mask'; readonly other: Tensor }
  | { readonly how: 'add'; readonly other: Tensor }

/** The kinds of a last step, as a kernel's text depends on them; null for none. */
export type FinishKind = LastStep['how'] | null

/** The tensor that a last step reads; null where it reads none. */
export const otherOf = (finish: LastStep | null): Tensor | null =>
  finish && 'other' in finish ? finish.other : null

/** Whether a last step binds another tensor. */
export const readsOther = (kind: FinishKind): boolean => kind === 'mask' || kind === 'add'

/** What an entry point's name says of a last step. */
export const finishName = (kind: FinishKind): Wgsl =>
  kind === null ? wgsl`` : { rectify: wgsl`Relu`, mask: wgsl`Masked`, add: wgsl`Added` }[kind]

/** `rectified(x: F) -> F`: max(x, 0). NaN stays NaN; max would hide it. And its mask, `through`
 *  (relu-mask.ts). F as in widths.ts. */
export const rectification = wgsl`
  ${notNumbers}
  ${reluSnippet}
  fn rectified(x: F) -> F { return select(x, F(), (x < F()) & !notNumbers(x)); }
`

/** `lastStep(sum: F, other: F) -> F`, of a kernel with F, U and B (widths.ts). */
export const lastStep = (kind: FinishKind): Wgsl => wgsl`
  ${kind === 'rectify' || kind === 'mask' ? rectification : wgsl``}
  fn lastStep(sum: F, other: F) -> F {
    return ${
      kind === null
        ? wgsl`sum`
        : {
            rectify: wgsl`rectified(sum)`,
            mask: wgsl`through(other, sum)`,
            add: wgsl`sum + other`,
          }[kind]
    };
  }
`
