// Encodes dispatches and copies whose buffers and bind groups are known.

import type { Costed } from './cut.ts'
import type { Binding } from './memory.ts'
import type { Pipeline } from './pipelines.ts'

/** A command to encode. */
export type Encodable = Costed & Uncosted

type Uncosted =
  | {
      readonly kind: 'dispatch'
      readonly pipeline: Pipeline
      readonly group: GPUBindGroup
      /** Of the Params in the uniform buffer; [] for a kernel without Params. */
      readonly offsets: readonly number[]
      readonly groups: readonly [number, number, number]
    }
  | { readonly kind: 'copy'; readonly from: Binding; readonly to: GPUBuffer; readonly at: number }

/** Gives the timestamps of each dispatch, which then has a compute pass of its own. */
export interface Timer {
  pass(kernel: string): GPUComputePassTimestampWrites | undefined
}

/** Encodes commands, and returns the number of dispatches among them. */
export function encode(
  encoder: GPUCommandEncoder,
  commands: readonly Encodable[],
  label: { readonly label: string },
  timer: Timer | null,
): number {
  let pass: GPUComputePassEncoder | null = null
  let dispatches = 0
  let bound: Pipeline | null = null
  for (const command of commands) {
    if (command.kind === 'copy') {
      pass?.end()
      pass = null
      const { from, to, at } = command
      encoder.copyBufferToBuffer(from.block.buffer, from.offset, to, at, from.bytes)
      continue
    }
    if (timer) pass?.end()
    if (!pass || timer) {
      pass = encoder.beginComputePass(timer ? timed(timer, command, label) : label)
      bound = null
    }
    if (command.pipeline !== bound) pass.setPipeline((bound = command.pipeline).now())
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

/** Describes the compute pass of one dispatch. */
function timed(
  timer: Timer,
  { pipeline }: Encodable & { readonly kind: 'dispatch' },
  label: { readonly label: string },
): GPUComputePassDescriptor {
  const timestampWrites = timer.pass(pipeline.name)
  return timestampWrites ? { ...label, timestampWrites } : label
}
