// Opening a GPU from a WebGPU entry point: a browser's navigator.gpu, or Dawn's in Node (engine/node.ts).

import { type GpuOptions, Gpu } from './gpu.ts'

export interface OpenOptions {
  /** 'high-performance' (the default) or 'low-power', where there are two GPUs. */
  readonly powerPreference?: GPUPowerPreference
  /** Arithmetic of convolutions and matrix products. f32 is exact and the only one yet. */
  readonly precision?: 'f32'
}

/** A Gpu on the adapter that `entry` gives, with every optional feature and the highest limits it offers.
 *  Throws Error when there is no adapter, with what to do about it. */
export async function openFrom(
  entry: GPU,
  { powerPreference = 'high-performance', precision = 'f32' }: OpenOptions,
  options: GpuOptions = {},
) {
  if (precision !== 'f32') throw new Error(`openGpu: precision must be 'f32', got '${String(precision)}'`)
  const adapter = await entry.requestAdapter({ powerPreference })
  if (!adapter) throw new Error(noAdapter)
  const wanted = { label: 'kindred', requiredLimits: limitsOf(adapter) }
  const features = [...adapter.features] as GPUFeatureName[] // the adapter's own names
  const device = await adapter
    .requestDevice({ ...wanted, requiredFeatures: features })
    .catch(() =>
      adapter.requestDevice({ ...wanted, requiredFeatures: features.filter((f) => useful.includes(f)) }),
    )
  return new Gpu(device, { ...options, ownsDevice: true })
}

/** A Gpu in a browser, through navigator.gpu. Throws Error where there is no WebGPU. */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  const entry = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu // absent in Node and in older browsers
  if (!entry)
    throw new Error(
      "no WebGPU here; use a browser that has it, or in Node import openGpu from 'kindred/node'",
    )
  return openFrom(entry, options)
}

/** The features that kernels or benches may use, should an adapter not give all of its at once. */
const useful: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query']

function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {}
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits] // for...in over the object itself
    if (typeof value === 'number') limits[name] = value
  }
  return limits
}

const noAdapter =
  "no WebGPU adapter; on Linux, install your GPU vendor's Vulkan driver, or Mesa 25 or later for the CPU (./setup does it)"
