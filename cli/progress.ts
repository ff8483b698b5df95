// The progress of a run: a bar in a terminal, a line every 10 seconds in a log, JSON lines for a
// program.

import { type GenericBar, MultiBar } from 'cli-progress'
import { printableLines } from '../kernels/printable.ts'
import type { Progress, StepValues } from '../training/progress.ts'
import { program } from './command.ts'
import { jsonLine } from './output.ts'
import { Pace } from './pace.ts'
import { wrappedNote } from './wrapped.ts'

export interface ProgressOptions {
  /** Prints one JSON object per line and nothing else. */
  readonly json: boolean
  /** Plural of what `images` of an update counts. */
  readonly unit?: string
  /** Output; standard output by default. */
  readonly stream?: NodeJS.WriteStream
  /** Milliseconds between lines of a log; 10,000 by default. */
  readonly every?: number
  /** Returns the time in milliseconds. */
  readonly now?: () => number
}

/** Makes the output of a run. `json` and the kind of the stream choose it. */
export function startProgress({
  json,
  unit = 'images',
  stream = process.stdout,
  every = 10_000,
  now = () => performance.now(),
}: ProgressOptions): Progress {
  const pace = new Pace(now)
  if (json) return jsonLines(stream, pace)
  return stream.isTTY ? terminal(stream, pace, unit) : log(stream, pace, { unit, every, now })
}

function jsonLines(stream: NodeJS.WriteStream, pace: Pace): Progress {
  const print = (event: object) => stream.write(`${jsonLine(event)}\n`)
  return {
    start: (total, measured) => pace.start(total, measured),
    update(step, values = {}) {
      const { rate, eta } = pace.update(step, values)
      print({ event: 'step', step, total: pace.total, ...values, rate, eta })
    },
    note(text, data = {}) {
      pace.note()
      print({ event: 'note', text, ...data })
    },
    stop() {},
  }
}

function log(
  stream: NodeJS.WriteStream,
  pace: Pace,
  { unit, every, now }: { unit: string; every: number; now: () => number },
): Progress {
  let printed = -Infinity
  let waiting: string | null = null
  const flush = () => {
    if (waiting === null) return
    stream.write(`${waiting}\n`)
    printed = now()
    waiting = null
  }
  return {
    start: (total, measured) => pace.start(total, measured),
    update(step, values = {}) {
      waiting = lineOf(step, values, pace, { unit, columns: 60 })
      if (now() - printed >= every) flush()
    },
    note(line) {
      pace.note()
      stream.write(`${printableLines(line)}\n`)
    },
    stop: flush,
  }
}

function terminal(stream: NodeJS.WriteStream, pace: Pace, unit: string): Progress {
  let bars: Bars | null = null
  let bar: GenericBar | null = null
  return {
    start: (total, measured) => pace.start(total, measured),
    update(step, values = {}) {
      const columns = stream.columns || 80
      const line = lineOf(step, values, pace, { unit, columns: columns - 1 })
      const total = Math.max(pace.total, step)
      bars ??= new Bars({ stream, format: barred(stream), linewrap: true })
      bar ??= bars.create(total, step, { line })
      bar.setTotal(total)
      bar.update(step, { line })
    },
    note(line) {
      pace.note()
      const columns = stream.columns || 80
      const text = `${wrappedNote(printableLines(line), columns, program().join(' '))}\n`
      if (bars) {
        bars.log(text)
        bars.update()
      } else stream.write(text)
    },
    stop() {
      bars?.stop()
      bars = bar = null
    },
  }
}

/** Draws a bar of up to 20 cells and the percentage before the line, if the terminal is wide
 *  enough. */
const barred =
  (stream: NodeJS.WriteStream) =>
  (
    _: unknown,
    { progress }: { readonly progress: number },
    { line }: { readonly line: string },
  ) => {
    const percentage = `${String(Math.floor(progress * 100)).padStart(3)}%  `
    const room = (stream.columns || 80) - 1 - line.length - percentage.length
    const cells = Math.min(20, room - 1)
    if (cells < 5) return room < 0 ? line : percentage + line
    const done = Math.round(progress * cells)
    return `${'\u2588'.repeat(done)}${'\u2591'.repeat(cells - done)} ${percentage}${line}`
  }

/** Redraws on a timer, as its parent does. Its timer does not keep the process alive. */
class Bars extends MultiBar {
  override create(total: number, start: number, payload: object): GenericBar {
    const bar = super.create(total, start, payload)
    this.#unref()
    return bar
  }

  override update() {
    super.update()
    this.#unref()
  }

  #unref() {
    const timer: unknown = Reflect.get(this, 'timer') // the parent's, missing in its types
    if (typeof timer === 'object' && timer && 'unref' in timer && typeof timer.unref === 'function')
      timer.unref()
  }
}

/** Writes the step, loss, speed and time left in at most `columns` columns. Leaves out the unit
 *  first, then the speed, then the loss. */
function lineOf(
  step: number,
  { loss, ...values }: StepValues,
  pace: Pace,
  { unit, columns }: { readonly unit: string; readonly columns: number },
): string {
  const { rate, eta } = pace.update(step, values)
  const counted = pace.total > 0 ? `step ${step}/${pace.total}` : `step ${step}`
  const lost = loss === undefined ? '' : `loss ${loss.toFixed(4)}`
  const speed = rate === undefined ? '' : quantity(rate)
  const left = eta !== undefined && step < pace.total ? `ETA ${duration(eta)}` : ''
  const ways = [
    [counted, lost, speed && `${speed} ${unit}/s`, left],
    [counted, lost, speed && `${speed}/s`, left],
    [counted, lost, left],
    [counted, left],
  ].map((parts) => parts.filter((part) => part !== '').join('  '))
  return ways.find((line) => line.length <= columns) ?? counted
}

const quantity = (n: number) =>
  n.toLocaleString('en-US', {
    maximumSignificantDigits: n < 100 ? 2 : Math.ceil(Math.log10(n + 1)),
  })

/** Writes seconds as 45s, 12m 05s, 3h 07m or 2d 4h. */
export function duration(seconds: number): string {
  const s = Math.round(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  if (s < 60) return `${s}s`
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`
}
