// Measures the share of time in which the GPU is idle over a run of steps. Every compute pass lies
// between two timestamps, in the order of the queue.

const MOST = 4096 // timestamps that one query set may hold
const QUERY_RESOLVE = 0x200
const COPY_SRC = 0x4
const COPY_DST = 0x8
const MAP_READ = 0x1

/** Returns { share, ms } of the time while `run` runs, from the start of the first compute pass to
 *  the end of the last: `ms` is that time, `share` the part of it in which no pass ran. Copies and
 *  uploads between steps count as idle. Null without the feature timestamp-query. On a CPU adapter
 *  a pass lasts until its threads finish, so time that other processes take counts as work. */
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

/** Reads the timestamps of query sets, in ns. */
async function resolve(device, sets) {
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
