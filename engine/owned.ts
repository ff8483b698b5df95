// Registers the private variables of objects for `Gpu.free`, such as the tables of an optimizer, or
// the constant scales of a batch norm.

import type { Variable } from '../kernels/op.ts'

const owned = new WeakMap<object, readonly Variable[]>()

/** Registers variables that `owner` made. */
export const owns = (owner: object, variables: readonly Variable[]) =>
  void owned.set(owner, variables)

/** Returns the variables that an object registered, or null. */
export const ownedBy = (owner: object): readonly Variable[] | null => owned.get(owner) ?? null
