// What the engine throws besides ShapeError. WebGPU reports errors asynchronously; they surface at the next await.

/** What WebGPU reported about a kernel or a command buffer: validation, memory, or WGSL that does not compile. */
export class GpuError extends Error {
  override readonly name = 'GpuError'
}

/** The errors that WebGPU has reported or may still report of what was asked of it. */
export class Reports {
  readonly #open = new Set<Promise<GpuError | null>>() // those not yet known to be null

  readonly watch: Watch = (error) => {
    const told = error.catch(() => null) // a scope rejects only when the device is lost, which is told elsewhere
    this.#open.add(told)
    void told.then((failure) => failure ?? this.#open.delete(told))
  }

  /** The first error since the last call, once all are known; null if there was none. */
  async first(): Promise<GpuError | null> {
    const reports = [...this.#open]
    this.#open.clear()
    return (await Promise.all(reports)).find((error) => error !== null) ?? null
  }
}

/** Takes note of an error that WebGPU will report, or null when it will not. */
export type Watch = (error: Promise<GpuError | null>) => void

/** The device is gone (driver reset, unplugged, destroyed). Nothing on it can be read any more. */
export class DeviceLostError extends Error {
  override readonly name: string = 'DeviceLostError'
}

/** A WGSL compile error with the kernel's name and the numbered line it points at; null if the WGSL is not at fault. */
export function wgslError(
  { name, source }: { readonly name: string; readonly source: string },
  messages: readonly GPUCompilationMessage[],
): GpuError | null {
  const first = messages.find((m) => m.type === 'error')
  if (!first) return null
  const line = source.split('\n')[first.lineNum - 1] ?? ''
  return new GpuError(
    `${name}: WGSL error at line ${first.lineNum}: ${first.message}\n${String(first.lineNum).padStart(5)} | ${line.trimEnd()}`,
  )
}
