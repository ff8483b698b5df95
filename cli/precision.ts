// --precision and --activations: their help, and their effect on an adapter.

import type { Precision, Run } from '../kernels/op.ts'

/** Help of --precision. */
export const precisionHelp =
  'f32 (exact), f16x3 (nearly exact, on tensor cores) or f16 (factors rounded to 11 bits); ' +
  'kindred doctor prints the effect of each here'

/** Help of --activations. */
export const activationsHelp =
  'how images and their gradients are stored: f32, or f16 (rounded to 11 bits, in half the memory)'

type Traits = Pick<Run, 'software' | 'f16' | 'matrices'>

/** Describes the effect of a precision on an adapter. */
export function effectOf(precision: Precision, { software, f16, matrices }: Traits): string {
  if (precision === 'f32') return 'exact'
  if (!f16) return 'refused: there are no 16-bit floats'
  if (software) return 'computes in f32, which a CPU does best'
  if (!matrices) return 'computes in f32: there are no tensor cores'
  return precision === 'f16x3'
    ? "close to f32's digits, on tensor cores"
    : 'factors rounded to 11 bits, on tensor cores'
}
