// Checks the arguments of a dispatch, and writes its numbers to the uniform that its kernel reads.

import { type Kernel, type Scalar, show } from '../kernels/op.ts'
import { checkValue, describe, having, nearestName } from '../kernels/options.ts'

/** Returns the params in the order of the kernel's fields. Throws Error for a field without a
 *  value, and TypeError for a param that is not a field. */
export function orderedParams(kernel: Kernel, params: Readonly<Record<string, Scalar>>): Scalar[] {
  const given = Object.keys(params)
  const fields = kernel.params.map(([field]) => field)
  const unknown =
    given.length === fields.length ? undefined : given.find((name) => !fields.includes(name))
  if (unknown !== undefined) throw unknownParam(kernel.name, unknown, fields)
  return fields.map((field) => {
    const param = params[field]
    if (param === undefined) throw missingParam(kernel.name, field, given, fields)
    return param
  })
}

function missingParam(
  kernel: string,
  field: string,
  given: readonly string[],
  fields: readonly string[],
) {
  const other = given.find((name) => !fields.includes(name))
  return other === undefined
    ? new Error(`${kernel}: no value for param ${field}`)
    : unknownParam(kernel, other, fields)
}

function unknownParam(kernel: string, given: string, fields: readonly string[]): TypeError {
  const near = nearestName(given, fields)
  const hint = near === undefined ? '' : `; did you mean '${near}'?`
  return new TypeError(
    `${kernel}: struct Params [${fields.join(', ')}] has no member '${given}'${hint}`,
  )
}

const aKernel = having('a kernel, as kernel`...` makes it', 'name', 'source', 'bindings')
const parts: readonly string[] = ['reads', 'updates', 'makes', 'params', 'constants', 'groups']

/** Throws TypeError for a dispatch with an unknown part, without groups, or with a constant that is
 *  no finite number. */
export function checkDispatch(
  kernel: Kernel,
  dispatch: {
    readonly groups: readonly (number | undefined)[]
    readonly constants?: Readonly<Record<string, number>>
  },
) {
  const { name } = checkValue('Gpu.run', 'kernel', kernel, aKernel)
  const given: unknown = dispatch
  if (typeof given !== 'object' || given === null || !Array.isArray(dispatch.groups))
    throw new TypeError(
      `${name}: a dispatch must have groups, the workgroups to run, as in { groups: [1] }, got ${describe(given)}`,
    )
  for (const part in dispatch)
    if (!parts.includes(part)) {
      const near = nearestName(part, parts)
      const hint =
        near === undefined ? `its parts are ${parts.join(', ')}` : `did you mean '${near}'?`
      throw new TypeError(`${name}: a dispatch has no part '${part}'; ${hint}`)
    }
  for (const [constant, value] of Object.entries(dispatch.constants ?? {}))
    if (!Number.isFinite(value))
      throw new TypeError(
        `${name}: constant ${constant} must be a finite number, got ${describe(value)}`,
      )
}

/** Throws TypeError unless a dispatch has as many tensors of each kind as the kernel declares. */
export function checkBindings({ name, bindings }: Kernel, reads: number, writes: number) {
  const [read, written] = (['read', 'read_write'] as const).map((access) =>
    bindings.reduce((sum, one) => sum + Number(one === access), 0),
  )
  if (read !== reads || written !== writes)
    throw new TypeError(
      `${name}: the kernel reads ${read} tensors and writes ${written}, got ${reads} in reads and ${writes} in updates and makes together`,
    )
}

/** Returns the current value of a kernel's field. Throws RangeError for a value that its type
 *  cannot hold. */
export function paramOf({ name, params }: Kernel, field: number, scalar: Scalar): number {
  const value: unknown = typeof scalar === 'function' ? scalar() : scalar
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

/** Throws RangeError unless the counts of workgroups are whole numbers from 0. */
export function checkGroups({ name }: Kernel, groups: readonly number[]) {
  if (!groups.every((count) => Number.isInteger(count) && count >= 0))
    throw new RangeError(`${name}: groups must be whole numbers from 0, got ${show(groups)}`)
}

/** Writes the value of a kernel's field into its Params, which begin at byte `at`. */
export function writeParam(
  view: DataView,
  at: number,
  { params }: Kernel,
  field: number,
  value: number,
) {
  const type = params[field]?.[1]
  const offset = at + 4 * field
  if (type === 'f32') view.setFloat32(offset, value, true)
  else if (type === 'i32') view.setInt32(offset, value, true)
  else view.setUint32(offset, value, true)
}
