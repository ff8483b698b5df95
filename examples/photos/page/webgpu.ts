// Tells whether this browser can compute on a GPU, and in words why not.

/** What stands in the way of training, and what to do; null if nothing does. */
export interface GpuState {
  readonly problem: string | null
  /** True where WebGPU computes on the CPU. */
  readonly isSoftware: boolean
}

export async function gpuState(): Promise<GpuState> {
  const absent = (problem: string): GpuState => ({ problem, isSoftware: false })
  if (!isSecureContext)
    return absent(
      'Browsers offer WebGPU only on secure pages. Open this page by https, or on localhost.',
    )
  // absent in older browsers
  const { gpu } = navigator as { readonly gpu?: GPU }
  if (!gpu)
    return absent(
      'This browser has no WebGPU, which this page trains with. Current Chrome and Edge have it on ' +
        'most computers and on Android, Safari from version 26, Firefox on Windows and Macs.',
    )
  const adapter = await gpu
    .requestAdapter({ powerPreference: 'high-performance' })
    .catch(() => null)
  if (!adapter)
    return absent(
      'This browser knows WebGPU but offers no GPU. It may be switched off: look for hardware ' +
        'acceleration in the settings, update the graphics driver, then restart the browser.',
    )
  // older browsers do not tell
  const { info } = adapter as { readonly info?: Partial<GPUAdapterInfo> }
  return { problem: null, isSoftware: info?.isFallbackAdapter ?? false }
}
