// The engine's errors besides ShapeError. WebGPU reports errors asynchronously; they are thrown at
// the next await.

/** An error that WebGPU reported for a kernel or a command buffer: in validation, in WGSL, or when
 *  memory ran out. */
export class GpuError extends Error {
  override readonly name = 'GpuError'
}

/** The errors that WebGPU has reported, or may still report, of the calls so far. */
export class Reports {
  readonly #open = new Set<Promise<GpuError | null>>() // those not yet known to be null

  readonly watch: Watch = (error) => {
    const report = error.catch(() => null) // it rejects only for a lost device: see lifetime.ts
    this.#open.add(report)
    void report.then((failure) => failure ?? this.#open.delete(report))
  }

  /** Returns a function that waits for the reports of all calls so far, and resolves to the first
   *  error, or null. Every function made before an error was reported resolves to it: a read that
   *  nobody awaits hides it from no other. */
  soFar(): () => Promise<GpuError | null> {
    const reports = [...this.#open]
    return async () => {
      const errors = await Promise.all(reports)
      for (const report of reports) this.#open.delete(report)
      return errors.find((error) => error !== null) ?? null
    }
  }
}

/** Makes WebGPU calls, and resolves to the first error of their error scopes, or null. */
export function errorOf(device: GPUDevice, body: () => void): Promise<GpuError | null> {
  device.pushErrorScope('out-of-memory')
  device.pushErrorScope('internal')
  device.pushErrorScope('validation')
  let popped: readonly Promise<GPUError | null>[] = []
  try {
    body()
  } finally {
    popped = [0, 1, 2].map(() => device.popErrorScope())
  }
  return Promise.all(popped).then((errors) => {
    const error = errors.find((one) => one !== null)
    return error ? new GpuError(error.message) : null
  })
}

/** Returns the promise. If nobody awaits it, its rejection does not end the process. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** A function that waits for a report of WebGPU: an error, or null. */
export type Watch = (error: Promise<GpuError | null>) => void

/** The device was lost (driver reset, unplugged) or destroyed. Nothing on it can be read any
 *  more. */
export class DeviceLostError extends Error {
  override readonly name: string = 'DeviceLostError'
}

/** Returns the first compile error, with the kernel's name and the line, or null if there is
 *  none. */
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
