// The GPU time of every dispatch of a step, by the library's profile, and its table beside the
// model.

import { profile } from '../dist/node.js'

/** Runs `step` once, then `runs` times with timestamps. Returns the library's Profile. Throws Error
 *  without the feature timestamp-query. */
export async function profiled(gpu, step, runs) {
  const found = await profile(gpu, step, { runs })
  if (!found.isTimed) throw new Error('--profile: this adapter has no timestamp-query')
  return found
}

/** Kernels { name, count, ms, floor } as lines of text; floor is the model's time
 *  (step-roofline.js). */
export function table(kernels) {
  const total = (what) => kernels.reduce((sum, kernel) => sum + kernel[what], 0)
  const all = { name: 'all', count: total('count'), ms: total('ms'), floor: total('floor') }
  const line = ({ name, count, ms, floor }) => [
    ...[name, String(count), ms.toFixed(2), `${((100 * ms) / all.ms).toFixed(1)} %`],
    ...(Number.isFinite(floor) ? [floor.toFixed(2), `${(ms / floor).toFixed(1)}x`] : ['', '']),
  ]
  const head = ['kernel', 'dispatches', 'ms', 'share', 'model ms', 'of it']
  return [head, ...kernels.map(line), line(all)].map(([name, ...cells]) =>
    `${name.padEnd(28)}${cells.map((cell) => cell.padStart(11)).join('')}`.trimEnd(),
  )
}
