// What a contestant asks of WebGPU, counted at the API, so that it is the same count for every
// library: buffers alive, dispatches, submits. Import it before anything opens a device. Buffers
// that are only dropped, never destroyed, count as alive, as the driver holds them until the
// garbage collector finds them.

import { globals } from 'webgpu'

/** Counts since the start. `live` and `peak` are bytes; set `peak` to `live` to begin a new
 *  peak. */
export const counts = { live: 0, peak: 0, buffers: 0, dispatches: 0, submits: 0 }

/** What went wrong on any device, as text. */
export const failures = []

/** The newest device that was opened, and its adapter's info. */
export const opened = { device: null, info: null }

const sizes = new WeakMap()

/** Calls `after(result, receiver, ...args)` whenever a method has returned. */
function observe(type, method, after) {
  const { prototype } = globals[type]
  const original = prototype[method]
  prototype[method] = function (...args) {
    const result = original.apply(this, args)
    after(result, this, ...args)
    return result
  }
}

observe('GPUDevice', 'createBuffer', (buffer, _, { size }) => {
  sizes.set(buffer, size)
  counts.buffers++
  counts.live += size
  counts.peak = Math.max(counts.peak, counts.live)
})
observe('GPUBuffer', 'destroy', (_, buffer) => {
  counts.live -= sizes.get(buffer) ?? 0
  sizes.delete(buffer)
})
observe('GPUComputePassEncoder', 'dispatchWorkgroups', () => counts.dispatches++)
observe('GPUQueue', 'submit', () => counts.submits++)
observe('GPUAdapter', 'requestDevice', (promise, adapter) => {
  promise.then(
    (device) => {
      opened.device = device
      opened.info = adapter.info
      device.addEventListener('uncapturederror', ({ error }) =>
        failures.push(error.message.split('\n')[0]),
      )
    },
    () => {}, // whoever asked is told
  )
})
