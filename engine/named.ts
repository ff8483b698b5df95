// The type that checkpoints, models and optimizers pass to one another.

import type { Variable } from '../kernels/op.ts'

/** Variables by name, in order of the object's keys. */
export type Named = Readonly<Record<string, Variable>>
