// How much of a run of steps the GPU has nothing to do: every compute pass between two timestamps,
// in the order of the queue.

import { MOST, resolve } from './step-profile.js'

/** What the GPU did while `run` ran: the share of the time from the first pass's beginning to the
 *  last one's end in which no pass was under way, so that copies and uploads between steps count as
 *  idle, too; and that time in ms. Null where the adapter has no timestamp-query. On a CPU adapter
 *  a pass ends when its threads have done it; what other processes take from them counts as
 *  work. */
export async function idleShare(device, run, settle) {
  if (!device.features.has('timestamp-query')) return null
  let passes = 0
  const sets = []
  const stamps = () => {
    const index = (2 * passes++) % MOST
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
    const begin = encoder.beginComputePass
    encoder.beginComputePass = (pass) => begin.call(encoder, { ...pass, timestampWrites: stamps() })
    return encoder
  }
  try {
    await run()
  } finally {
    device.createCommandEncoder = original
  }
  await settle()
  const times = (await resolve(device, sets)).slice(0, 2 * passes)
  const spans = Array.from({ length: passes }, (_, i) => [
    Number(times[2 * i]),
    Number(times[2 * i + 1]),
  ])
  spans.sort(([a], [b]) => a - b)
  let [busy, end] = [0, spans[0][0]]
  for (const [from, to] of spans) {
    busy += Math.max(0, to - Math.max(from, end))
    end = Math.max(end, to)
  }
  const all = end - spans[0][0]
  return { share: 1 - busy / all, ms: all / 1e6, passes }
}
