// Opening a GPU from a WebGPU entry point: a browser's navigator.gpu, or Dawn's in Node
// (engine/node.ts).

import type { Activations, Precision } from '../kernels/op.ts'
import { checkOptions, oneOf } from '../kernels/options.ts'
import { arithmeticRules } from './gpu-rules.ts'
import { type GpuOptions, Gpu } from './gpu.ts'

export interface OpenOptions {
  /** 'high-performance' (the default) or 'low-power', where there are two GPUs. */
  readonly powerPreference?: GPUPowerPreference
  /** Arithmetic of matrix products and convolutions: 'f32', the default, is exact; 'f16x3' keeps
   *  f32's accuracy on tensor cores where the device has them; 'f16' rounds factors to 16-bit
   *  floats, faster yet, and wants scaled gradients. */
  readonly precision?: Precision
  /** What is kept of images for the backward pass: 'f32', the default, as they are; 'f16' halves of
   *  them, which take half the memory, change no loss of the same weights, and round gradients. */
  readonly activations?: Activations
}

/** What the options of `openGpu` must be. */
export const openRules = {
  ...arithmeticRules,
  powerPreference: oneOf('high-performance', 'low-power'),
}

/** A Gpu on the adapter that `entry` gives, with every optional feature and the highest limits it
 *  offers. Throws Error when there is no adapter, or it lacks what the precision takes, with what
 *  to do about it. */
export async function openFrom(entry: GPU, given: OpenOptions, options: GpuOptions = {}) {
  const opened = checkOptions('openGpu', given, openRules)
  const { powerPreference = 'high-performance', precision = 'f32', activations = 'f32' } = opened
  const adapter = await entry.requestAdapter({ powerPreference })
  if (!adapter) throw new Error(NO_ADAPTER)
  const wanted = { label: 'kindred', requiredLimits: limitsOf(adapter) }
  const features = [...adapter.features] as GPUFeatureName[] // the adapter's own names
  const device = await adapter.requestDevice({ ...wanted, requiredFeatures: features }).catch(() =>
    adapter.requestDevice({
      ...wanted,
      requiredFeatures: features.filter((f) => useful.includes(f)),
    }),
  )
  try {
    return new Gpu(device, { ...options, precision, activations, ownsDevice: true })
  } catch (cause) {
    device.destroy()
    throw cause
  }
}

/** A Gpu in a browser, through navigator.gpu. Throws Error where there is no WebGPU. */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  checkOptions('openGpu', options, openRules)
  const entry = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu // absent in Node and in older browsers
  if (!entry)
    throw new Error(
      "no WebGPU here; use a browser that has it, or in Node import openGpu from 'kindred/node'",
    )
  return openFrom(entry, options)
}

/** The features that kernels or benches may use, should an adapter not give all of its at once. */
const useful: readonly string[] = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
]

function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {}
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits] // for...in over the object itself
    if (typeof value === 'number') limits[name] = value
  }
  return limits
}

/** What is said where there is no adapter. */
export const NO_ADAPTER =
  "no WebGPU adapter; on Linux, install your GPU vendor's Vulkan driver, or Mesa 25 or later for the CPU (./setup does it)"
