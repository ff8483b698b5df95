// A Gpu with the kernels for every device at hand, for programs that are not downloaded.

import { cpuForms } from '../kernels/devices/cpu-forms.ts'
import { onTensorCores } from '../kernels/devices/matrix-forms.ts'
import { checkValue } from '../kernels/options.ts'
import { type GpuOptions, checkGpuOptions, rules } from './gpu-rules.ts'
import { Gpu } from './gpu.ts'
import { type DeviceKernels, traitsOf } from './traits.ts'

function kernelsOf(device: GPUDevice): DeviceKernels {
  const { matrices, choosesSubgroups, broadcasts } = traitsOf(device)
  const forms = matrices ? onTensorCores(choosesSubgroups) : broadcasts ? cpuForms : new Map()
  return { forms, matrices }
}

/** The Gpu of Node: by default it has the kernels that suit its device best. */
export class NodeGpu extends Gpu {
  /** Throws Error when the device does not support the precision. */
  constructor(device: GPUDevice, options: GpuOptions = {}) {
    checkGpuOptions(options)
    checkValue('Gpu', 'device', device, rules.device)
    super(device, { kernels: kernelsOf(device), ...options })
  }
}
