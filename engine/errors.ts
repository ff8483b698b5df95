// What the engine throws besides ShapeError. WebGPU reports errors asynchronously; they surface at
// the next await.

/** What WebGPU reported about a kernel or a command buffer: validation, memory, or WGSL that does
 *  not compile. */
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

  /** A function that waits until all is known of what was asked for so far, and tells the first
   *  error; null if there was none. An error is told to all who asked before it was told, so
   *  that a read that nobody awaits hides none from others. */
  soFar(): () => Promise<GpuError | null> {
    const reports = [...this.#open]
    return async () => {
      const told = await Promise.all(reports)
      for (const report of reports) this.#open.delete(report)
      return told.find((error) => error !== null) ?? null
    }
  }
}

/** The promise itself. Should it reject while nobody awaits it, that ends no process; who awaits
 *  it is told. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** Takes note of an error that WebGPU will report, or null when it will not. */
export type Watch = (error: Promise<GpuError | null>) => void

/** The device is gone (driver reset, unplugged, destroyed). Nothing on it can be read any more. */
export class DeviceLostError extends Error {
  override readonly name: string = 'DeviceLostError'
}

/** A WGSL compile error with the kernel's name and the numbered line it points at; null if the WGSL
 *  is not at fault. */
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
