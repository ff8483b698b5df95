// The time that each kernel of a body takes on the GPU.

import type { Machine } from '../../kernels/op.ts'
import {
  callback,
  checkOptions,
  checkValue,
  count,
  flag,
  inspect,
  onGpu,
} from '../../kernels/options.ts'
import { type Assembly, partsOf } from '../assemble.ts'
import {
  type DispatchOrigin,
  type LayerTime,
  layerTable,
  layerTimes,
  originsOf,
} from './layer-times.ts'
import { tabled } from './table.ts'
import { Stamps } from './timer.ts'
import { trace } from './trace.ts'

/** Options of `profile`. */
export interface ProfileOptions {
  /** How often the body runs and is timed, after one run that is not; 3 by default. Times are
   *  medians. */
  readonly runs?: number
  /** True traces the body too, which must not be async, and adds up times by layer; false by
   *  default. */
  readonly layers?: boolean
}

/** A dispatch. */
export interface ProfiledDispatch {
  readonly kernel: string
  /** Milliseconds from the start of the first dispatch, in the last run; null if not timed. */
  readonly start: number | null
  /** Milliseconds, in the last run; null if not timed. */
  readonly duration: number | null
  /** Milliseconds, the median of all runs if they dispatch the same kernels; null if not timed. */
  readonly ms: number | null
  /** The op that made it, its pass and its layer; null without `layers`. */
  readonly origin: DispatchOrigin | null
}

/** All dispatches of a kernel. */
export interface KernelTime {
  readonly kernel: string
  readonly dispatches: number
  /** Milliseconds of all of them together; null if not timed. */
  readonly ms: number | null
  /** The share of all kernels' time, from 0 to 1, or of all dispatches if not timed. */
  readonly share: number
}

/** The kernels of a body. Prints as a table. */
export class Profile {
  /** The kernels, the longest first; those dispatched most often first if not timed. */
  readonly rows: readonly KernelTime[]
  /** The layers, and the ops without parameters, the longest first; null without `layers`. */
  readonly layers: readonly LayerTime[] | null
  /** The dispatches in order. */
  readonly dispatches: readonly ProfiledDispatch[]
  /** How often the body was timed. */
  readonly runs: number
  /** The steps of the device's clock, in nanoseconds; null if not timed. */
  readonly resolution: number | null

  constructor(dispatches: readonly ProfiledDispatch[], runs: number, resolution: number | null) {
    this.rows = rowsOf(dispatches)
    this.layers = dispatches.some(({ origin }) => origin) ? layerTimes(dispatches) : null
    this.dispatches = dispatches
    this.runs = runs
    this.resolution = resolution
  }

  /** True where the device has timestamps. False: there are counts alone. */
  get isTimed(): boolean {
    return this.resolution !== null
  }

  /** Prints a table of at most `width` characters, 80 by default: layers where they are known, else
   *  kernels. */
  table(width?: number): string {
    const lines = this.layers ? layerTable(this.layers, width) : this.#kernelTable(width)
    return [...lines, ...this.#notes()].join('\n')
  }

  #kernelTable(width: number | undefined): string[] {
    const heads = ['dispatches', ...(this.isTimed ? ['ms'] : []), 'share']
    const right = heads.map((head) => ({ head, right: true }))
    const total = { kernel: 'all', dispatches: this.dispatches.length, share: 1 }
    const ms = this.isTimed ? this.rows.reduce((sum, row) => sum + (row.ms ?? 0), 0) : null
    const cells = [...this.rows, { ...total, ms }].map((row) => [
      ...[row.kernel, String(row.dispatches)],
      ...(row.ms === null ? [] : [row.ms.toFixed(3)]),
      `${(100 * row.share).toFixed(1)} %`,
    ])
    return tabled([{ head: 'kernel' }, ...right], cells, width)
  }

  /** Makes the text of a trace file, which chrome://tracing and ui.perfetto.dev open. Throws Error
   *  if not timed. */
  chromeTrace(): string {
    if (!this.isTimed)
      throw new Error('Profile.chromeTrace: there are no times; the device has no timestamp-query')
    const place = { pid: 1, tid: 1 }
    const named = [
      { ...{ name: 'process_name', ph: 'M' }, ...place, args: { name: 'Kindred' } },
      { ...{ name: 'thread_name', ph: 'M' }, ...place, args: { name: 'GPU' } },
    ]
    const events = this.dispatches.map(({ kernel, start, duration, origin }, dispatch) => ({
      ...{ name: kernel, cat: 'gpu', ph: 'X' },
      ...place,
      ...{ ts: (start ?? 0) * 1000, dur: (duration ?? 0) * 1000 }, // in microseconds
      args: { dispatch, ...origin },
    }))
    return JSON.stringify({ traceEvents: [...named, ...events], displayTimeUnit: 'ms' })
  }

  toString() {
    return this.table()
  }

  [inspect]() {
    return this.table()
  }

  #notes(): string[] {
    if (!this.isTimed) return ['counts alone: this device has no timestamp-query']
    const runs = this.runs === 1 ? 'one run' : `medians of ${this.runs} runs`
    const times = `${runs}, each dispatch in a pass of its own`
    if ((this.resolution ?? 0) < COARSE) return [times]
    const step = `${((this.resolution ?? 0) / 1000).toFixed(1)} us`
    return [
      times,
      `the clock has steps of ${step}, so short kernels show as 0; finer:`,
      "openGpu({ toggles: ['-timestamp_quantization'] }) in Node",
    ]
  }
}

const COARSE = 10_000 // nanoseconds

/** Runs `body`, which may be async, and returns the time that each kernel took on the GPU. The body
 *  runs once untimed, then `runs` times: a training step trains, that is. Captured steps are
 *  replayed as ever. Every dispatch has a compute pass of its own, so together they take longer
 *  than a step: compare kernels by it, not steps. Without the feature timestamp-query it counts.
 *  Throws Error within a step or another profile, and what the body throws. */
export async function profile(
  gpu: Machine,
  body: () => unknown,
  options: ProfileOptions = {},
): Promise<Profile> {
  checkValue('profile', 'gpu', gpu, onGpu)
  checkValue('profile', 'body', body, callback)
  const { runs = 3, layers = false } = checkOptions('profile', options, {
    ...{ runs: count, layers: flag },
  })
  const parts = partsOf(gpu)
  if (parts.steps.running) throw new Error('profile: it cannot run inside a step')
  if (parts.commands.timer) throw new Error('profile: it cannot run in the body of another')
  await body()
  await parts.reads.sync()
  const all: Run[] = []
  for (let i = 0; i < runs; i++) all.push(await timedRun(parts, body))
  const kernels = all.at(-1)?.kernels ?? []
  return profileOf(all, layers ? originsOf(kernels, trace(gpu, body).rows) : [])
}

/** The dispatches of one run; times are null if not timed. */
interface Run {
  readonly kernels: readonly string[]
  readonly times: readonly (readonly [begin: bigint, end: bigint])[] | null
}

async function timedRun({ commands, reads }: Assembly, body: () => unknown): Promise<Run> {
  const stamps = new Stamps(commands)
  commands.timer = stamps
  try {
    await body()
    commands.flush()
    commands.timer = null
    await reads.sync()
    return { kernels: stamps.kernels, times: await stamps.read() }
  } finally {
    commands.timer = null
    stamps.free()
  }
}

function profileOf(runs: readonly Run[], origins: readonly DispatchOrigin[]): Profile {
  const last = runs.at(-1) ?? { kernels: [], times: null }
  const alike = runs.filter(({ kernels }) => kernels.join() === last.kernels.join())
  const first = last.times?.[0]?.[0] ?? 0n
  const dispatches = last.kernels.map((kernel, i): ProfiledDispatch => {
    const time = last.times?.[i]
    const { [i]: origin = null } = origins
    if (!time) return { kernel, start: null, duration: null, ms: null, origin }
    const durations = alike.map(({ times }) => lasted(times?.[i]))
    return {
      ...{ kernel, start: milliseconds(time[0] - first), duration: lasted(time) },
      ...{ ms: median(durations), origin },
    }
  })
  return new Profile(dispatches, alike.length, last.times && resolutionOf(runs))
}

const milliseconds = (nanoseconds: bigint) => Number(nanoseconds) / 1e6

const lasted = (time: readonly [begin: bigint, end: bigint] | undefined) =>
  time ? Math.max(0, milliseconds(time[1] - time[0])) : 0

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]]
  return (low + high) / 2
}

/** Returns the largest number of nanoseconds of which all times are multiples. */
function resolutionOf(runs: readonly Run[]): number {
  const times = runs.flatMap((run) => run.times?.flat() ?? [])
  const [first = 0n] = times
  let step = 0n
  for (const time of times)
    for (let rest = time - first; rest !== 0n;) [step, rest] = [rest, step % rest]
  return Number(step < 0n ? -step : step)
}

function rowsOf(dispatches: readonly ProfiledDispatch[]): KernelTime[] {
  const kernels = new Map<string, { dispatches: number; ms: number | null }>()
  for (const { kernel, ms } of dispatches) {
    const row = kernels.get(kernel) ?? { dispatches: 0, ms: ms === null ? null : 0 }
    kernels.set(kernel, {
      dispatches: row.dispatches + 1,
      ms: ms === null ? null : (row.ms ?? 0) + ms,
    })
  }
  const weight = (row: { dispatches: number; ms: number | null }) => row.ms ?? row.dispatches
  const all = [...kernels.values()].reduce((sum, row) => sum + weight(row), 0)
  return [...kernels]
    .map(([kernel, row]) => ({ kernel, ...row, share: all > 0 ? weight(row) / all : 0 }))
    .sort((a, b) => weight(b) - weight(a))
}
