// What was measured, as rows, and these as a table for people or for bench/RESULTS.md.

import { digits } from './numbers.js'
import { summary } from './statistics.js'
import { table as columns } from './table.js'

const MIB = 2 ** 20

/** One row of one contestant at one size. Rates count the work that the algorithm needs, the same
 *  for all, so a contestant that computes more (an unfused loss, all of a symmetric matrix) shows
 *  it as a lower rate. `basis` is the time that counts: CPU time where a CPU does the work, else
 *  the clock's. */
export function rowOf({ entrant, problem, ready, times, error }, { bench, device, ceilings }) {
  const base = { size: bench.sizeOf(problem), contestant: entrant.name }
  if (error) return { ...base, error }
  const basis = ready.device.software ? 'cpu' : 'wall'
  const work = bench.work({ ...problem, ...entrant.problem })
  const row = { ...base, basis, loss: ready.loss, gradientNorm: ready.gradientNorm }
  for (const what of ['forward', 'both']) {
    const { dispatches, submits, buffers, peak, first } = ready.warm[what]
    const time = summary(times[what].map((t) => t[basis]))
    const [flops, bytes] = [work[what] / time.median / 1e6, work.bytes[what] / time.median / 1e6] // G per second, of ms
    row[what] = {
      ...{ time, wall: summary(times[what].map((t) => t.wall)), first, gflops: flops, gbps: bytes },
      ...(sameDevice(ready.device, device) && {
        ofMatmul: flops / ceilings.matmul.gflops,
        ofCopy: bytes / ceilings.copy.gbps,
      }),
      ...{ dispatches, submits, buffers, peak, beyond: peak - work.bytes[what] },
    }
  }
  return row
}

// Dawn writes a device's name in lower case and with dashes, CUDA as its maker does.
const slug = (name) => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
const sameDevice = (a, b) => slug(a.adapter) === slug(b.adapter)

/** Adds to each row its time over that of the first contestant at its size, where that one took
 *  part. */
export function withRatios(rows) {
  const times = new Map(
    rows
      .filter((row) => row.both && row.contestant === rows[0].contestant)
      .map(({ size, both }) => [size, both.time.median]),
  )
  return rows.map((row) =>
    row.both ? { ...row, ratio: row.both.time.median / times.get(row.size) } : row,
  )
}

const headings = (bench, basis) => [
  bench.axis,
  'contestant',
  `forward, ${basis} ms`,
  `forward + backward, ${basis} ms`,
  'ratio',
  'GFLOP/s',
  'of matmul',
  'GB/s',
  'of copy',
  'peak MiB',
  'beyond MiB',
  'dispatches',
]

function cells(row) {
  if (row.error) return [String(row.size), row.contestant, row.error.split('\n')[0].slice(0, 80)]
  const { forward, both } = row
  return [
    String(row.size),
    row.contestant,
    spread(forward.time),
    spread(both.time),
    Number.isNaN(row.ratio) ? '-' : `${digits(row.ratio)}x`,
    digits(both.gflops),
    percent(both.ofMatmul),
    digits(both.gbps),
    percent(both.ofCopy),
    digits(both.peak / MIB),
    digits(both.beyond / MIB),
    both.dispatches === undefined ? '-' : `${forward.dispatches} / ${both.dispatches}`,
  ]
}

const percent = (share) => (share === undefined ? '-' : `${digits(share * 100)} %`)
const spread = ({ median, min, max }) => `${digits(median)} (${digits(min)}..${digits(max)})`

/** The rows as a table, in columns for a terminal or as Markdown. */
export function table(rows, bench, markdown) {
  const basis = rows.find((row) => row.basis)?.basis ?? 'wall'
  return columns([headings(bench, basis), ...rows.map(cells)], { markdown })
}

/** Where the numbers are from, in a few lines. */
export function heading({ environment: e, device, ceilings, command }) {
  const lines = [
    `${device.adapter}, driver ${device.driver}${device.software ? ' (a CPU: CPU time is measured)' : ''}`,
    `kindred ${e.kindred}, Node ${e.node}, Dawn from ${e.dawn}, ${e.cpu}, ${e.date}`,
    `ceilings by Kindred's own kernels: matmul ${digits(ceilings.matmul.gflops)} GFLOP/s, copy ${digits(ceilings.copy.gbps)} GB/s`,
    command,
  ]
  return lines.join('\n')
}
