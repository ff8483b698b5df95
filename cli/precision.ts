// What --precision and --activations mean to a run: how its GPU is opened, whether its loss is
// scaled, and what the adapter makes of it.

import type { Activations, Precision, Run } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/optim/loss-scaler.ts'
import { openGpu } from '../engine/node.ts'

/** What --precision may be, from the most exact to the fastest. */
export const precisions: readonly Precision[] = ['f32', 'f16x3', 'f16']

/** What --help says of it. */
export const precisionHelp =
  'f32 (exact), f16x3 (nearly, on tensor cores) or f16 (factors rounded to 11 bits); kindred doctor says what each does here'

/** What --activations may be. */
export const activationKinds: readonly Activations[] = ['f32', 'f16']

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

/** The scaler of a run's loss, or null where all is f32: in f16's range small gradients lose
 *  digits. */
export const scalerOf = (gpu: Gpu): LossScaler | null =>
  gpu.run.precision === 'f32' && gpu.run.activations === 'f32' ? null : new LossScaler(gpu)

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
