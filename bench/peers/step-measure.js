// How every library's step is measured: calls of WebGPU counted at its prototypes, then CPU time,
// of all threads of the process. Wall time says little on a CPU adapter that shares its cores.

const TICK = new Int32Array(new SharedArrayBuffer(4))

const counts = {
  dispatches: 0,
  copies: 0,
  submits: 0,
  bindGroups: 0,
  buffersCreated: 0,
  boundBytes: 0,
}
const live = { bytes: 0, peak: 0 }
let lastQueue = null
const sizes = new WeakMap() // bytes that a bind group binds

/** Counts calls from now on; `globals` are Dawn's classes. Call it before a device is made. */
export function instrument(globals) {
  const wrap = (type, method, note) => {
    const { prototype } = globals[type]
    const original = prototype[method]
    prototype[method] = function (...args) {
      const result = original.apply(this, args)
      note(args, result, this)
      return result
    }
  }
  const bound = new WeakMap()
  wrap('GPUComputePassEncoder', 'setBindGroup', ([, group], _, pass) => bound.set(pass, group))
  wrap('GPUComputePassEncoder', 'dispatchWorkgroups', (_, __, pass) => {
    counts.dispatches++
    counts.boundBytes += sizes.get(bound.get(pass)) ?? 0
  })
  wrap('GPUCommandEncoder', 'copyBufferToBuffer', () => counts.copies++)
  wrap('GPUQueue', 'submit', (_, __, queue) => {
    counts.submits++
    lastQueue = queue
  })
  wrap('GPUDevice', 'createBindGroup', ([{ entries }], group) => {
    counts.bindGroups++
    const bytes = ({ resource: { buffer, size, offset = 0 } }) =>
      size ?? (buffer?.size ?? 0) - offset
    sizes.set(
      group,
      [...entries].reduce((sum, entry) => sum + bytes(entry), 0),
    )
  })
  wrap('GPUDevice', 'createBuffer', ([{ size }]) => {
    counts.buffersCreated++
    live.bytes += size
    live.peak = Math.max(live.peak, live.bytes)
  })
  const { prototype } = globals.GPUBuffer
  const destroy = prototype.destroy
  const destroyed = new WeakSet()
  prototype.destroy = function () {
    if (!destroyed.has(this)) live.bytes -= this.size
    destroyed.add(this)
    return destroy.call(this)
  }
}

/** WebGPU calls of one step, after two that warm up; bytes of buffers that live after it, and the
 *  most there ever were. */
export async function count(step) {
  await step()
  await step()
  const before = { ...counts }
  await step()
  const perStep = Object.fromEntries(
    Object.entries(counts).map(([name, n]) => [name, n - before[name]]),
  )
  return { ...perStep, liveBytes: live.bytes, peakBytes: live.peak }
}

/** CPU and wall time of a step in ms: medians of `runs`. */
export async function time(step, runs) {
  const cpu = []
  const wall = []
  for (let i = 0; i < runs; i++) {
    const [usage, start] = [process.cpuUsage(), performance.now()]
    await step()
    wall.push(performance.now() - start)
    const { user, system } = process.cpuUsage(usage)
    cpu.push((user + system) / 1000)
  }
  return { cpuMs: median(cpu), wallMs: median(wall), runs }
}

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** Waits as an idle program does. Dawn polls for its promises in a loop that burns a core, which
 *  would be counted as the library's own CPU time; this sleeps a millisecond in every turn. */
export async function waiting(promise) {
  let waits = true
  const nap = () => {
    if (!waits) return
    Atomics.wait(TICK, 0, 0, 1)
    setImmediate(nap)
  }
  setImmediate(nap)
  try {
    return await promise
  } finally {
    waits = false
  }
}

/** Waits until the queue that was last submitted to is idle. */
export const idle = () => waiting(lastQueue.onSubmittedWorkDone())

/** Dawn as `navigator.gpu`, which is where the other libraries look for it; calls are counted. */
export async function dawn() {
  const { create, globals } = await import('webgpu')
  instrument(globals)
  Object.assign(globalThis, globals)
  const gpu = create([])
  const value = { gpu, userAgent: 'node', hardwareConcurrency: 2, platform: 'linux' }
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true })
  globalThis.dawnInstance = gpu // Node crashes when it is collected
}
