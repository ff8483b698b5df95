// The values of the settings of arithmetic.

import type { Activations, Precision } from '../../kernels/op.ts'

/** Precisions from the most exact to the fastest. */
export const precisions: readonly Precision[] = ['f32', 'f16x3', 'f16']

/** Formats of stored activations. */
export const activationKinds: readonly Activations[] = ['f32', 'f16']
