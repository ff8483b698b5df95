// Options of every command that opens a GPU.

import { Option } from 'commander'
import type { Activations, Precision } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { openGpu } from '../engine/node.ts'

/** Options of a command that opens a GPU. They change no number that it computes. */
export interface GpuFlags {
  /** Part of the GPU's name. */
  readonly adapter?: string
  /** False leaves out checks of indices in kernels. */
  readonly robustness?: boolean
}

export const adapterOption = () =>
  new Option('--adapter <name>', "part of the GPU's name, to choose among several")

export const robustnessOption = () =>
  new Option(
    '--no-robustness',
    "compile kernels without WebGPU's checks of indices: the same numbers, sooner on some GPUs",
  )

interface Chosen {
  readonly precision?: Precision
  readonly activations?: Activations
}

/** Opens the GPU of a command. Runs from before these settings compute in f32. `toggles` are
 *  Dawn's. Throws Error in words. */
export const openRunGpu = (
  { adapter, robustness }: GpuFlags,
  { precision = 'f32', activations = 'f32' }: Chosen = {},
  toggles: readonly string[] = [],
): Promise<Gpu> =>
  openGpu({
    precision,
    activations,
    toggles,
    ...(adapter === undefined ? {} : { adapter }),
    ...(robustness === false ? { robustness } : {}), // commander sets it always
  })
