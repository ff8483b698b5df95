// Variables that objects make for themselves and keep private, such as the tables of an optimizer.

import type { Variable } from '../kernels/op.ts'

const owned = new WeakMap<object, readonly Variable[]>()

/** Takes note that `owner` made these variables, for `Gpu.free`. */
export const owns = (owner: object, variables: readonly Variable[]) =>
  void owned.set(owner, variables)

/** The variables that an object made for itself; null when it told of none. */
export const ownedBy = (owner: object): readonly Variable[] | null => owned.get(owner) ?? null
