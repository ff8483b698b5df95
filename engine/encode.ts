// Encodes dispatches and copies whose buffers and bind groups are known.

import type { Binding } from './memory.ts'

/** A command to encode. */
export type Encodable =
  | {
      readonly kind: 'dispatch'
      readonly pipeline: GPUComputePipeline
      readonly group: GPUBindGroup
      /** Of the Params in the uniform buffer; [] for a kernel without Params. */
      readonly offsets: readonly number[]
      readonly groups: readonly [number, number, number]
    }
  | { readonly kind: 'copy'; readonly from: Binding; readonly to: GPUBuffer; readonly at: number }

/** Encodes commands, and returns the number of dispatches among them. */
export function encode(
  encoder: GPUCommandEncoder,
  commands: readonly Encodable[],
  label: { readonly label: string },
): number {
  let pass: GPUComputePassEncoder | null = null
  let dispatches = 0
  let bound: GPUComputePipeline | null = null
  for (const command of commands) {
    if (command.kind === 'copy') {
      pass?.end()
      pass = null
      const { from, to, at } = command
      encoder.copyBufferToBuffer(from.block.buffer, from.offset, to, at, from.bytes)
      continue
    }
    if (!pass) {
      pass = encoder.beginComputePass(label)
      bound = null
    }
    if (command.pipeline !== bound) pass.setPipeline((bound = command.pipeline))
    // each argument costs Dawn's bindings 0.03 to 0.2 us
    if (command.offsets.length > 0) pass.setBindGroup(0, command.group, command.offsets)
    else pass.setBindGroup(0, command.group)
    const [x, y, z] = command.groups
    if (z > 1) pass.dispatchWorkgroups(x, y, z)
    else if (y > 1) pass.dispatchWorkgroups(x, y)
    else pass.dispatchWorkgroups(x)
    dispatches++
  }
  pass?.end()
  return dispatches
}
