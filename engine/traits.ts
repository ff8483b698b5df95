// A device's traits that choose kernels, and the check that it supports what the user asks.

import type { Activations, Precision } from '../kernels/op.ts'

/** Which kernels run: those that suit the device, or, in tests on any device, those of a GPU, its
 *  subgroup matrices computed in plain WGSL if 'matrices'. */
export type Kernels = 'device' | 'gpu' | 'matrices'

/** Reads a device's traits: `software` for a CPU, by its own word or a known driver's name; the
 *  fewest threads of a subgroup (0 without subgroups); bytes of workgroup memory; f16, and matrices
 *  for subgroups of 32. */
export function traitsOf({ adapterInfo, features, limits }: GPUDevice) {
  const info: Partial<GPUAdapterInfo & MatrixInfo> = adapterInfo ?? {} // older browsers have none
  const names = `${info.architecture} ${info.description}`
  const f16 = features.has('shader-f16')
  return {
    software: (info.isFallbackAdapter ?? false) || /llvmpipe|lavapipe|swiftshader/i.test(names),
    subgroupSize: features.has('subgroups') ? (info.subgroupMinSize ?? 0) : 0,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    f16,
    matrices:
      f16 &&
      features.has('chromium-experimental-subgroup-matrix') &&
      info.subgroupMinSize === 32 &&
      info.subgroupMaxSize === 32 &&
      limits.maxComputeWorkgroupStorageSize >= 32768 && // what their tiles need
      (info.subgroupMatrixConfigs ?? []).some(fits),
  }
}

/** What a user may choose of how ops compute. */
export interface Choices {
  readonly precision: Precision
  readonly activations: Activations
  readonly kernels: Kernels
}

/** The device's traits as kernels see them under the user's choices. */
export type Settings = ReturnType<typeof settingsOf>

/** The settings of a device. Throws Error when it lacks what the choices take. */
export function settingsOf(device: GPUDevice, { precision, activations, kernels }: Choices) {
  checkOneOf('precision', precision, ['f32', 'f16x3', 'f16'])
  checkOneOf('activations', activations, ['f32', 'f16'])
  const traits = traitsOf(device)
  const emulated = kernels === 'matrices'
  if ((precision !== 'f32' || emulated) && !traits.f16)
    throw new Error(
      `Gpu: precision '${precision}' needs 16-bit floats, and this device was opened without 'shader-f16'; request the feature if its adapter has it, or use precision 'f32'`,
    )
  return {
    ...traits,
    precision,
    activations,
    emulated,
    matrices: emulated || traits.matrices,
    software: kernels === 'device' && traits.software,
  }
}

/** Newer than the types, and experimental. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs: readonly MatrixConfig[]
}

interface MatrixConfig {
  readonly componentType: string
  readonly resultComponentType: string
  readonly M: number
  readonly N: number
  readonly K: number
}

const fits = ({ componentType, resultComponentType, M, N, K }: MatrixConfig) =>
  componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16

/** Plain JavaScript may give anything. */
function checkOneOf(name: string, value: string, known: readonly string[]) {
  if (known.includes(value)) return
  const list = `${known
    .slice(0, -1)
    .map((k) => `'${k}'`)
    .join(', ')} or '${known[known.length - 1] ?? ''}'`
  throw new Error(`Gpu: ${name} must be ${list}, got '${value}'`)
}
