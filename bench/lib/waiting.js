// Waiting until the GPU is done, alike for every contestant.

import { opened } from './accounting.js'

const cell = new Int32Array(new SharedArrayBuffer(4))

/** Resolves when the newest device has done what was submitted to it. While it waits, Dawn polls in
 *  a loop that burns a core: on a CPU adapter, where CPU time is what is measured, the loop is made
 *  to sleep a millisecond in each turn. */
export async function gpuIdle() {
  let waiting = true
  const nap = () => {
    if (!waiting) return
    Atomics.wait(cell, 0, 0, 1)
    setImmediate(nap)
  }
  if (isSoftware(opened.info)) setImmediate(nap)
  try {
    await opened.device.queue.onSubmittedWorkDone()
  } finally {
    waiting = false
  }
}

/** Whether a CPU does the work. */
export const isSoftware = (info) =>
  (info.isFallbackAdapter ?? false) || /llvmpipe|lavapipe|swiftshader/i.test(info.description)
