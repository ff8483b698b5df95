// What kernels may want to know of a device.

/** Whether a CPU does the work, by its own word or by the names of software drivers that do not say so, and the fewest
 *  threads that a subgroup may have (0 where there are none). */
export function traitsOf({ adapterInfo, features }: GPUDevice) {
  const info: Partial<GPUAdapterInfo> = adapterInfo ?? {} // older browsers have none
  const names = `${info.architecture} ${info.description}`
  return {
    software: (info.isFallbackAdapter ?? false) || /llvmpipe|lavapipe|swiftshader/i.test(names),
    subgroupSize: features.has('subgroups') ? (info.subgroupMinSize ?? 0) : 0,
  }
}
