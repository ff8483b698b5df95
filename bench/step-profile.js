// Measures the GPU time of every dispatch of a step, each in a compute pass of its own between two
// timestamps. This takes longer than the step itself: use the totals only to compare kernels with
// each other.

import { writeFileSync } from 'node:fs'
import { median } from './peers/step-measure.js'

export const MOST = 4096 // timestamps that one query set may hold
const QUERY_RESOLVE = 0x200
const COPY_SRC = 0x4
const COPY_DST = 0x8
const MAP_READ = 0x1

/** Runs `step` `runs` times with timestamps. Returns a list of dispatches { name, start, duration,
 *  ms }: `start` (in ms since the first) and `duration` are the last run's, `ms` is the median of
 *  all runs. Throws Error without the feature timestamp-query. */
export async function profile(device, step, settle, runs) {
  if (!device.features.has('timestamp-query'))
    throw new Error('--profile: this adapter has no timestamp-query')
  const all = []
  for (let run = 0; run < runs; run++) all.push(await once(device, step, settle))
  return all
    .at(-1)
    .map((dispatch, i) => ({ ...dispatch, ms: median(all.map((run) => run[i].duration)) }))
}

async function once(device, step, settle) {
  const dispatches = []
  const sets = []
  const stamps = () => {
    const index = (dispatches.length * 2) % MOST
    if (index === 0) sets.push(device.createQuerySet({ type: 'timestamp', count: MOST }))
    return {
      querySet: sets.at(-1),
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    }
  }
  const original = device.createCommandEncoder
  device.createCommandEncoder = (descriptor) => {
    const encoder = original.call(device, descriptor)
    return {
      copyBufferToBuffer: (...args) => encoder.copyBufferToBuffer(...args),
      clearBuffer: (...args) => encoder.clearBuffer(...args),
      finish: () => encoder.finish(),
      beginComputePass: () => passes(encoder, stamps, dispatches),
    }
  }
  await step()
  device.createCommandEncoder = original
  await settle()
  const times = await resolve(device, sets)
  const first = times[0] ?? 0n
  return dispatches.map((name, i) => {
    const [begin, end] = [times[2 * i] ?? 0n, times[2 * i + 1] ?? 0n]
    return { name, start: Number(begin - first) / 1e6, duration: Number(end - begin) / 1e6 }
  })
}

/** Fakes a compute pass: it runs each dispatch in a pass of its own. */
function passes(encoder, stamps, dispatches) {
  const state = { pipeline: null, group: [] }
  return {
    setPipeline(pipeline) {
      state.pipeline = pipeline
    },
    setBindGroup(...args) {
      state.group = args
    },
    setImmediates() {
      throw new Error('--profile: immediates are not carried over')
    },
    dispatchWorkgroups(...counts) {
      const pass = encoder.beginComputePass({ timestampWrites: stamps() })
      pass.setPipeline(state.pipeline)
      pass.setBindGroup(...state.group)
      pass.dispatchWorkgroups(...counts)
      pass.end()
      dispatches.push(state.pipeline.label)
    },
    end() {},
  }
}

/** Reads the timestamps of query sets, in ns. */
export async function resolve(device, sets) {
  const times = []
  for (const set of sets) {
    const size = MOST * 8
    const resolved = device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC })
    const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST })
    const encoder = device.createCommandEncoder()
    encoder.resolveQuerySet(set, 0, MOST, resolved, 0)
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(MAP_READ)
    times.push(...new BigUint64Array(staging.getMappedRange().slice(0)))
    for (const gone of [resolved, staging, set]) gone.destroy()
  }
  return times
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

/** Writes the dispatches as a trace file for chrome://tracing and Perfetto. */
export function writeTrace(path, dispatches) {
  const traceEvents = dispatches.map(({ name, start, duration }) => ({
    ...{ name, ph: 'X', cat: 'gpu', pid: 1, tid: 1 },
    ...{ ts: start * 1000, dur: duration * 1000 }, // in microseconds
  }))
  writeFileSync(path, JSON.stringify({ traceEvents }))
}
