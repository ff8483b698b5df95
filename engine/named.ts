// Variables by name: what checkpoints, models and optimizers pass to one another.

import type { Variable } from '../kernels/op.ts'

/** Variables by name, in order. */
export type Named = Readonly<Record<string, Variable>>
