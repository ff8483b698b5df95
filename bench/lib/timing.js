// Timing in the contestant's own process: batches of calls, each batch ended by waiting for the
// GPU.

import { counts } from './accounting.js'
import { gpuIdle } from './waiting.js'

const BATCH = 100 // ms that a batch should last, so that waiting for its end weighs little
const MOST = 256 // calls per batch
const LONG = 5000 // ms; a call that takes longer is warm after one run

/** Milliseconds per call over a batch, by the clock and of CPU time (all threads of this process,
 *  which a CPU adapter's workers are). */
export async function batch({ calls, flush }, what, count) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < count; i++) calls[what]()
  flush?.()
  await gpuIdle()
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { wall: wall / count, cpu: (user + system) / 1000 / count }
}

/** Warms a call up (its first run compiles) and says how many make a batch, what the first and a
 *  later one took, and what one asks of the GPU. `peak` is the most bytes alive at a time, of all
 *  buffers of the process, while it runs. */
export async function warmUp(contestant, what) {
  const first = await batch(contestant, what, 1)
  if (first.wall < LONG) await batch(contestant, what, 1)
  counts.peak = counts.live
  const before = { ...counts }
  const { wall } = await batch(contestant, what, 1) // once warm
  const [dispatches, submits, buffers] = ['dispatches', 'submits', 'buffers'].map(
    (kind) => counts[kind] - before[kind],
  )
  const count = Math.min(MOST, Math.max(1, Math.ceil(BATCH / wall)))
  return { count, first: first.wall, wall, dispatches, submits, buffers, peak: counts.peak }
}
