// The words of settings that say how a GPU computes.

import type { Activations, Precision } from '../../kernels/op.ts'

/** Precisions from the most exact to the fastest. */
export const precisions: readonly Precision[] = ['f32', 'f16x3', 'f16']

/** Formats in which activations are kept. */
export const activationKinds: readonly Activations[] = ['f32', 'f16']
