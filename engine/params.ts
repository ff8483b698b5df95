// The numbers of a dispatch as the uniform that its kernel reads.

import { describe } from '../kernels/numbers.ts'
import { type Kernel, type Scalar, show } from '../kernels/op.ts'

/** The params in the order of the kernel's fields. Throws Error naming a field that has none, or
 *  a param that is no field. */
export function inOrder(kernel: Kernel, params: Readonly<Record<string, Scalar>>): Scalar[] {
  const scalars = kernel.params.map(([field]) => {
    const param = params[field]
    if (param === undefined) throw new Error(`${kernel.name}: no value for param ${field}`)
    return param
  })
  for (const name in params)
    if (!kernel.params.some(([field]) => field === name))
      throw new Error(`${kernel.name}: there is no param ${name} in its struct Params`)
  return scalars
}

/** What a kernel's field is now. Throws RangeError for a value that its type cannot hold. */
export function paramOf({ name, params }: Kernel, field: number, scalar: Scalar): number {
  const value: unknown = typeof scalar === 'function' ? scalar() : scalar // plain JavaScript may give anything
  const [label, type = 'f32'] = params[field] ?? []
  const { holds, words } = types[type] ?? types.f32
  if (typeof value === 'number' && holds(value)) return value
  throw new RangeError(`${name}: ${label} must be ${words}, got ${describe(value)}`)
}

interface Type {
  readonly holds: (value: number) => boolean
  readonly words: string
}

const types: Readonly<Record<string, Type>> & { readonly f32: Type } = {
  f32: {
    holds: (value) => Number.isFinite(Math.fround(value)) || !Number.isFinite(value),
    words: 'a number within the range of f32, 3.4e38',
  },
  i32: { holds: (value) => (value | 0) === value, words: 'a whole number from -2^31 to 2^31 - 1' },
  u32: { holds: (value) => value >>> 0 === value, words: 'a whole number from 0 to 2^32 - 1' },
}

/** Throws RangeError unless workgroups are counted by whole numbers from 0. */
export function checkGroups({ name }: Kernel, groups: readonly number[]) {
  if (!groups.every((count) => Number.isInteger(count) && count >= 0))
    throw new RangeError(`${name}: groups must be whole numbers from 0, got ${show(groups)}`)
}

/** Writes the value of a kernel's field into its Params, which begin at `at` bytes. */
export function writeParam(view: DataView, at: number, { params }: Kernel, field: number, value: number) {
  const type = params[field]?.[1]
  const offset = at + 4 * field
  if (type === 'f32') view.setFloat32(offset, value, true)
  else if (type === 'i32') view.setInt32(offset, value, true)
  else view.setUint32(offset, value, true)
}
