// The numbers of a dispatch as the uniform that its kernel reads.

import type { Kernel, Scalar } from '../kernels/op.ts'

/** The params in the order of the kernel's fields. Throws Error naming a field that has none. */
export const inOrder = (kernel: Kernel, params: Readonly<Record<string, Scalar>>): Scalar[] =>
  kernel.params.map(([field]) => {
    const param = params[field]
    if (param === undefined) throw new Error(`${kernel.name}: no value for param ${field}`)
    return param
  })

/** Writes the value of a kernel's field into its Params, which begin at `at` bytes. */
export function writeParam(view: DataView, at: number, { params }: Kernel, field: number, value: number) {
  const type = params[field]?.[1]
  const offset = at + 4 * field
  if (type === 'f32') view.setFloat32(offset, value, true)
  else if (type === 'i32') view.setInt32(offset, value, true)
  else view.setUint32(offset, value, true)
}
