// Reads the traits of a device by which kernels are chosen, and checks that it supports the user's
// choices.

import { onMatrices, ownOf } from '../kernels/form.ts'
import type { Activations, Precision } from '../kernels/op.ts'
import type { DeviceKernels } from './device-kernels.ts'

/** Reads a device's traits. `software` is true for a fallback adapter, or a known driver's name;
 *  `subgroupSize` is the fewest threads of a subgroup, 0 without subgroups; `matrices` is true for
 *  subgroup matrices of 16 x 16 x 16, f16 x f16 -> f32, in subgroups of 32; `choosesSubgroups`, if
 *  kernels must ask for that size; `broadcasts`, if eight lanes of a subgroup should load for each
 *  other. */
export function traitsOf({ adapterInfo, features, limits }: GPUDevice) {
  const info: Partial<GPUAdapterInfo & MatrixInfo> = adapterInfo ?? {} // older browsers have none
  const names = `${info.architecture} ${info.description}`
  const f16 = features.has('shader-f16')
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = info
  const choosesSubgroups =
    least <= 32 && most >= 32 && least < most && features.has('subgroup-size-control')
  const software = (info.isFallbackAdapter ?? false) || /llvmpipe|lavapipe|swiftshader/i.test(names)
  const subgroupSize = features.has('subgroups') ? least : 0
  return {
    software,
    subgroupSize,
    broadcasts: software && subgroupSize >= 8,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    f16,
    choosesSubgroups,
    matrices:
      f16 &&
      features.has('chromium-experimental-subgroup-matrix') &&
      (choosesSubgroups || (least === 32 && most === 32)) &&
      limits.maxComputeWorkgroupStorageSize >= 32768 && // for their tiles
      (info.subgroupMatrixConfigs ?? []).some(fits),
  }
}

/** A user's choices of how ops compute. */
export interface Choices {
  readonly precision: Precision
  readonly activations: Activations
  readonly kernels: DeviceKernels
}

/** The device's traits as kernels see them under the user's choices. */
export type KernelSettings = ReturnType<typeof kernelSettings>

/** Combines a device's traits with the user's choices. Throws Error when the device does not
 *  support them. */
export function kernelSettings(device: GPUDevice, { precision, activations, kernels }: Choices) {
  const { software, subgroupSize, workgroupBytes, f16 } = traitsOf(device)
  if (precision !== 'f32' && !f16)
    throw new Error(
      `Gpu: precision '${precision}' needs 16-bit floats, and this device was opened without 'shader-f16'; request the feature if its adapter has it, or use precision 'f32'`,
    )
  kernels.check({ device, precision })
  const { forms } = kernels
  return {
    ...{ subgroupSize, workgroupBytes, f16, precision, activations, forms },
    matrices: ownOf(kernels, onMatrices) ?? false,
    software: kernels.software ?? software,
  }
}

/** An experimental part of GPUAdapterInfo, which its types lack. */
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
