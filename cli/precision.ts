// What --precision and --activations mean to a run: how its GPU is opened, and what the adapter makes
// of them.

import type { Activations, Precision, Run } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { openGpu } from '../engine/node.ts'

/** What --help says of it. */
export const precisionHelp =
  'f32 (exact), f16x3 (nearly, on tensor cores) or f16 (factors rounded to 11 bits); kindred doctor says what each does here'

/** What --help says of it. */
export const activationsHelp =
  'how images and their gradients are stored: f32, or f16 (rounded to 11 bits, in half the memory)'

interface Chosen {
  readonly precision?: Precision
  readonly activations?: Activations
}

/** The GPU that a run computes on; what a run does not name was f32 when it was made. Throws Error
 *  in words. */
export const openRunGpu = (
  adapter: string | undefined,
  { precision = 'f32', activations = 'f32' }: Chosen = {},
): Promise<Gpu> =>
  openGpu({ precision, activations, ...(adapter === undefined ? {} : { adapter }) })

type Traits = Pick<Run, 'software' | 'f16' | 'matrices'>

/** What a precision does on such an adapter, in words. */
export function effectOf(precision: Precision, { software, f16, matrices }: Traits): string {
  if (precision === 'f32') return 'exact'
  if (!f16) return 'refused: there are no 16-bit floats'
  if (software) return 'computes in f32, which a CPU does best'
  if (!matrices) return 'computes in f32: there are no tensor cores'
  return precision === 'f16x3'
    ? "close to f32's digits, on tensor cores"
    : 'factors rounded to 11 bits, on tensor cores'
}
