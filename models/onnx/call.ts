// What converters know of the calls that they convert.

import type { Tensor } from '../../kernels/op.ts'
import type { Call, Convert } from './graph.ts'

/** What a converter knows: how many inputs an op may have, and which attrs. */
interface Known {
  readonly inputs: readonly number[]
  readonly attrs: readonly string[]
}

/** A converter that refuses every call but those that it knows, so that nothing is left out. */
export const known =
  ({ inputs, attrs }: Known, convert: Convert): Convert =>
  (graph, call) => {
    const other = Object.keys(call.attrs as object).find((name) => !attrs.includes(name))
    if (other !== undefined) throw graph.noForm(call, `nothing is known of its '${other}'`)
    if (!inputs.includes(call.inputs.length))
      throw graph.noForm(call, `it has ${call.inputs.length} inputs`)
    return convert(graph, call)
  }

/** The i-th input of a call. */
export function input({ name, inputs }: Call, i: number): Tensor {
  const found = inputs[i]
  if (!found) throw new Error(`exportOnnx: ${name} has no input ${i}`)
  return found
}

/** Tells whether this is [N, H, W, C]. */
export const isImage = ({ shape }: Tensor) => shape.length === 4
