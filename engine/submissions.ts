// The way from collected commands to the GPU's queue. Without a budget they are submitted at once.
// With one they are cut into pieces of at most so many milliseconds, and a piece is submitted when
// at most one other is on its way. So whoever shares the queue, such as the frame of a page, waits
// for the rest of one piece and for another.
//
// A kernel that is still compiled in the background holds up the queue, not the page.
//
// What must happen behind commands that still wait, such as a write, waits with them. So the order
// of all work is that of the calls, with a budget or without, and the results have the same bits.

import { type Cost, learn, pieceEnd } from './cut.ts'
import type { Encodable, Timer } from './encode.ts'
import type { GpuError } from './errors.ts'

const MAX_COMMANDS = 4096 // in one command buffer: lavapipe crashed on 49,000
const IN_FLIGHT = 2 // pieces: one runs, and one waits, so that the GPU does not

/** Commands, as they are encoded. */
export interface Work {
  readonly commands: readonly Encodable[]
  readonly label: { readonly label: string }
  readonly timer: Timer | null
}

type Report = Promise<GpuError | null>

type Entry =
  | (Work & {
      readonly kind: 'work'
      /** How many of the commands were submitted, and what became of them. */
      submitted: number
      readonly reports: Report[]
      readonly resolve: (report: Report | null) => void
    })
  | {
      readonly kind: 'write'
      readonly buffer: GPUBuffer
      readonly offset: number
      readonly bytes: Uint8Array<ArrayBuffer>
    }
  | { readonly kind: 'call'; readonly call: () => void }

/** Submits the work of one Gpu in the order in which it comes. */
export class Submissions {
  readonly #queue: GPUQueue
  readonly #submit: (work: Work) => Report
  readonly #onWait: () => () => void
  #budget: number | null = null
  #entries: Entry[] = []
  #inFlight = 0
  #finishedAt = 0 // the time when the last piece was found to be done

  /** `submit` submits one command buffer and resolves to its error or null. `onWait` is called when
   *  waiting begins, and its result when it ends. */
  constructor(queue: GPUQueue, submit: (work: Work) => Report, onWait: () => () => void) {
    this.#queue = queue
    this.#submit = submit
    this.#onWait = onWait
  }

  /** The most milliseconds of a piece; null if everything is submitted at once. */
  get budget(): number | null {
    return this.#budget
  }

  set budget(ms: number | null) {
    this.#budget = ms
    this.#pump()
  }

  /** True while something waits for its turn. */
  get isWaiting(): boolean {
    return this.#entries.length > 0
  }

  /** Submits work in its turn. Resolves to its first error, or null. */
  add(work: Work): Report {
    if (this.#budget === null && !this.isWaiting) return firstOf(inBuffers(work).map(this.#submit))
    return new Promise((resolve) => {
      this.#entries.push({ ...work, kind: 'work', submitted: 0, reports: [], resolve })
      this.#pump()
    })
  }

  /** Writes bytes into a buffer in its turn. */
  write(buffer: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>) {
    if (this.isWaiting) this.#entries.push({ kind: 'write', buffer, offset, bytes: bytes.slice() }) // the owner may change them
    else this.#queue.writeBuffer(buffer, offset, bytes)
  }

  /** Calls `call` in its turn: at once if nothing waits. */
  call(call: () => void) {
    if (this.isWaiting) this.#entries.push({ kind: 'call', call })
    else call()
  }

  /** Submits all that waits, now: in pieces of the budget, none of which waits for another. */
  finish() {
    const begun = performance.now()
    const costs: Cost[] = []
    while (this.isWaiting) costs.push(...this.#piece(this.#budget ?? Infinity))
    if (this.#budget !== null) this.#measure(costs, begun)
  }

  /** Drops the work and the writes that wait, and makes the calls. */
  drop() {
    for (const entry of this.#entries.splice(0))
      if (entry.kind === 'call') entry.call()
      else if (entry.kind === 'work') entry.resolve(null)
  }

  #pump() {
    while (this.isWaiting && (this.#budget === null || this.#inFlight < IN_FLIGHT)) {
      if (this.#budget === null) this.finish()
      else if (!this.#timed(this.#budget)) break
    }
  }

  /** Submits a piece, and the next one when it is done. Returns false, and goes on later, where the
   *  first command's kernel is not compiled yet. */
  #timed(budget: number): boolean {
    const begun = performance.now()
    const costs = this.#piece(budget, true)
    const [first] = this.#entries
    if (costs.length === 0 && first?.kind === 'work') {
      const next = first.commands[first.submitted]
      const endWait = this.#onWait()
      const goOn = () => {
        endWait()
        this.#pump()
      }
      const stop = () => {
        endWait()
        this.drop()
      }
      if (next?.kind === 'dispatch') void next.pipeline.ready.then(goOn, stop) // of a lost device
      return false
    }
    this.#measure(costs, begun)
    return true
  }

  /** Measures what was submitted, and submits the next piece when it is done. */
  #measure(costs: readonly Cost[], begun: number) {
    if (costs.length === 0) return
    this.#inFlight++
    const endWait = this.#onWait()
    const done = () => {
      endWait()
      const now = performance.now()
      learn(costs, now - Math.max(begun, this.#finishedAt))
      this.#finishedAt = now
      this.#inFlight--
      this.#pump()
    }
    this.#queue.onSubmittedWorkDone().then(done, done) // it rejects for a lost device: see lifetime.ts
  }

  /** Submits what comes next, of at most `budget` milliseconds, and if it may wait, up to the first
   *  command whose kernel is not compiled. Returns the commands' costs. */
  #piece(budget: number, mayWait = false): readonly Cost[] {
    const costs: Cost[] = []
    let room = budget
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      if (entry.kind === 'work') {
        const { commands, submitted } = entry
        const at = { room, most: MAX_COMMANDS, isFirst: costs.length === 0 }
        const fitting = commands.slice(submitted, pieceEnd(commands, submitted, at))
        const unready = mayWait ? fitting.findIndex(isUncompiled) : -1
        const piece = unready < 0 ? fitting : fitting.slice(0, unready)
        const end = submitted + piece.length
        if (end === submitted && end < commands.length) break
        entry.submitted = end
        if (piece.length > 0) entry.reports.push(this.#submit({ ...entry, commands: piece }))
        for (const { cost } of piece) {
          costs.push(cost)
          if (room !== Infinity) room -= cost.ms // NaN, if not measured: nothing else fits then
        }
        if (end < commands.length) continue
      }
      void this.#entries.shift()
      if (entry.kind === 'work') entry.resolve(firstOf(entry.reports))
      else if (entry.kind === 'call') entry.call()
      else this.#queue.writeBuffer(entry.buffer, entry.offset, entry.bytes)
    }
    return costs
  }
}

const isUncompiled = (command: Encodable) =>
  command.kind === 'dispatch' && !command.pipeline.compiled

/** Divides work into command buffers. */
const inBuffers = (work: Work): Work[] =>
  Array.from({ length: Math.ceil(work.commands.length / MAX_COMMANDS) }, (_, i) => ({
    ...work,
    commands: work.commands.slice(i * MAX_COMMANDS, (i + 1) * MAX_COMMANDS),
  }))

const firstOf = async (reports: readonly Report[]): Report => {
  const errors = await Promise.all(reports)
  return errors.find((error) => error !== null) ?? null
}
