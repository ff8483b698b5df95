// A Gpu with the kernels for every device at hand, for programs that are not downloaded.

import { cpuForms } from '../kernels/devices/cpu-forms.ts'
import { emulatedForms } from '../kernels/devices/emulated-matrices.ts'
import { onTensorCores } from '../kernels/devices/matrix-forms.ts'
import { checkValue, either, oneOf } from '../kernels/options.ts'
import { DeviceKernels, kernelsRule } from './device-kernels.ts'
import { type GpuOptions, checkGpuOptions, rules } from './gpu-rules.ts'
import { Gpu } from './gpu.ts'
import { traitsOf } from './traits.ts'

/** Which kernels to run: 'device' has those that suit the device. Tests run those of a GPU on any
 *  device: 'gpu', or 'matrices', which emulates subgroup matrices in plain WGSL. */
export type Kernels = 'device' | 'gpu' | 'matrices'

/** Options of `new Gpu(device)` in Node. */
export interface NodeGpuOptions extends Omit<GpuOptions, 'kernels'> {
  /** Kernels besides those for any device; 'device' by default. */
  readonly kernels?: Kernels | DeviceKernels
}

const nodeRule = either(oneOf('device', 'gpu', 'matrices'), kernelsRule)

function kernelsOf(device: GPUDevice, which: Kernels): DeviceKernels {
  if (which === 'matrices') return new DeviceKernels({ device }, emulatedForms, false)
  const { matrices, choosesSubgroups, broadcasts } = traitsOf(device)
  const onGpu = matrices ? onTensorCores(choosesSubgroups) : []
  if (which === 'gpu') return new DeviceKernels({ device }, new Map(onGpu), false)
  return new DeviceKernels({ device }, new Map([...(broadcasts ? cpuForms : []), ...onGpu]))
}

/** The Gpu of Node: by default it has the kernels that suit its device best. */
export class NodeGpu extends Gpu {
  static override readonly name = 'Gpu' // kindred/node exports it as that

  /** Throws Error when the device does not support the precision, or the kernels are others'. */
  constructor(device: GPUDevice, options: NodeGpuOptions = {}) {
    const { kernels = 'device', ...rest } = checkGpuOptions(options, nodeRule)
    checkValue('Gpu', 'device', device, rules.device)
    const own = typeof kernels === 'string' ? kernelsOf(device, kernels) : kernels
    super(device, { ...rest, kernels: own })
  }
}
