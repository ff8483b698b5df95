// Remembers devices that do not check indices, and refuses the option where it has no effect.

const unchecked = new WeakSet<GPUDevice>()

/** Notes that kernels on this device are compiled without checks of indices. */
export const leaveUnchecked = (device: GPUDevice) => void unchecked.add(device)

/** Tells whether kernels on a device are compiled with WebGPU's checks of indices. */
export const isRobust = (device: GPUDevice): boolean => !unchecked.has(device)

/** Throws TypeError for options with `robustness`, which only openGpu in Node has. `reason` begins
 *  with who decides instead. */
export function refuseRobustness(owner: string, given: object | undefined, reason: string) {
  if (typeof given !== 'object' || given === null || !('robustness' in given)) return
  if (given.robustness === undefined) return
  throw new TypeError(
    `${owner}: there is no option 'robustness' here, because ${reason}; ` +
      `openGpu({ robustness: false }) of 'kindred/node' opens a device without checks`,
  )
}
