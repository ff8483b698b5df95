// Replays a recorded step. Its memory is planned, its bind groups are made and its params are laid
// out once. A replay only writes the params that change, which lie at the beginning of one buffer,
// and encodes the commands.

import type { Commands } from '../commands.ts'
import type { Encodable } from '../encode.ts'
import { type Binding, type Block, type Memory, type Storage, bindingOf } from '../memory.ts'
import { paramOf, writeParam } from '../params.ts'
import type { Arena, Tenant } from './arena.ts'
import type { Need } from './planner.ts'
import type { Copied, Dispatched, Output, Ref, ReplayedCall, Trace } from './trace.ts'
import { wholeWords } from '../values.ts'

/** One step's commands, ready to be submitted again and again. */
export class Replay {
  readonly #trace: Trace
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #owned: Storage[] = []
  #borrowed: Storage[] = [] // by the outputs of the last run
  readonly #bindings: readonly Binding[] // of the temporaries
  readonly #params: DataView<ArrayBuffer>
  readonly #starts: readonly number[] // each command's first byte in the params
  readonly #changing: number // bytes of params that change from step to step
  readonly #uniforms: Binding
  readonly #ready: readonly Encodable[]
  readonly #calls: readonly (() => void)[]
  readonly #written: ReadonlySet<Block>
  readonly #isShared: boolean // with an app, which may write a buffer of its own after it

  /** Makes what a replay of `trace` needs, which `release` frees. Its temporaries lie in `arena`,
   *  in a place for `tenant`. */
  constructor(
    trace: Trace,
    { memory, commands }: { readonly memory: Memory; readonly commands: Commands },
    arena: Arena,
    tenant: Tenant,
  ) {
    this.#trace = trace
    this.#memory = memory
    this.#commands = commands
    this.#bindings = this.#allocate(trace, (needs, taken) => arena.place(tenant, needs, taken))
    const { starts, changing, bytes } = layOut(trace.commands, commands.align)
    this.#starts = starts
    this.#changing = changing
    this.#params = new DataView(new ArrayBuffer(bytes))
    this.#uniforms = this.#take(bytes)
    for (const [i, command] of trace.commands.entries()) this.#write(command, starts[i] ?? 0)
    this.#upload(this.#uniforms, this.#params.buffer)
    const groups = new Map<string, GPUBindGroup>()
    const ready: Encodable[] = []
    commands.guard(() => {
      for (const [i, command] of trace.commands.entries())
        ready.push(
          command.kind === 'copy'
            ? this.#copy(command)
            : this.#dispatch(command, starts[i] ?? 0, groups),
        )
    })
    this.#ready = ready
    this.#calls = trace.calls.map((call) => this.#repeat(call))
    const written = trace.commands.flatMap(({ uses }) =>
      uses.filter((use) => use.writes && use.ref < 0),
    )
    this.#written = new Set(written.flatMap(({ ref }) => trace.outer[-1 - ref]?.block ?? []))
    this.#isShared = trace.outer.some(({ block }) => block.isShared)
  }

  /** Submits the step. First calls its actions and the functions of its params, or takes the values
   *  from `called`, a trace of this step in which they were called. Throws DeviceLostError. */
  run(called: Trace | null) {
    if (called) this.#copyParams(called)
    else for (const call of this.#calls) call()
    this.#commands.checkAlive() // a call may have destroyed the Gpu
    this.#borrowed = []
    for (const block of this.#written) block.writes++
    if (this.#changing > 0) this.#upload(this.#uniforms, this.#params.buffer, this.#changing)
    this.#commands.submit(this.#ready, LABEL, { isShared: this.#isShared })
  }

  /** Makes a storage for an output, on the plan's memory; null for a tensor from before the
   *  step. */
  output({ ref }: Output): Storage | null {
    const binding = this.#bindings[ref]
    if (!binding) return null
    const storage = this.#memory.borrow(binding)
    this.#borrowed.push(storage)
    return storage
  }

  /** Frees the memory. The last run's outputs keep theirs until they are freed. */
  release() {
    for (const storage of this.#owned) this.#memory.release(storage)
  }

  /** Frees the outputs of the last run. */
  releaseOutputs() {
    for (const storage of this.#borrowed) this.#memory.release(storage)
  }

  /** Allocates the constants, and the other temporaries by `place`. Returns their ranges. */
  #allocate(
    { commands, temporaries, outputs, outer }: Trace,
    place: (needs: readonly Need[], taken: ReadonlySet<Block>) => readonly Binding[],
  ): Binding[] {
    const uses = temporaries.map((): { command: number; writes: boolean }[] => [])
    for (const [command, { uses: all }] of commands.entries())
      for (const { ref, writes } of all) uses[ref]?.push({ command, writes })
    const returned = new Set(outputs.map(({ ref }) => ref))
    // constants are written once, so they share no memory
    const planned = [...temporaries.keys()].filter((ref) => !temporaries[ref]?.constant)
    const needs = planned.map((ref): Need => ({
      bytes: temporaries[ref]?.bytes ?? 0,
      uses: uses[ref] ?? [],
      outlives: returned.has(ref),
    }))
    const placed = place(needs, new Set(outer.map(({ block }) => block)))
    const byRef = new Map(planned.map((ref, i) => [ref, placed[i]]))
    return temporaries.map(({ bytes, constant }, ref) => {
      const binding = byRef.get(ref) ?? this.#take(bytes)
      if (constant) this.#upload(binding, constant.buffer)
      return { ...binding, bytes: wholeWords(bytes) }
    })
  }

  #take(bytes: number): Binding {
    const storage = this.#memory.alloc(bytes)
    this.#owned.push(storage)
    return bindingOf(storage)
  }

  #upload({ block, offset }: Binding, data: ArrayBuffer, bytes = data.byteLength) {
    this.#commands.submissions.write(block.buffer, offset, new Uint8Array(data, 0, bytes))
  }

  #at(ref: Ref): Binding {
    const outer = this.#trace.outer[-1 - ref]
    const binding = outer ? bindingOf(outer.storage) : this.#bindings[ref]
    if (!binding) throw new Error(`a captured step has no tensor ${ref}`)
    return binding
  }

  #copy({ uses: [from, to], at }: Copied): Encodable {
    const { block, offset } = this.#at(to.ref)
    const source = this.#at(from.ref)
    const cost = this.#commands.costOf({ bindings: [source] })
    return { kind: 'copy', from: source, to: block.buffer, at: offset + at, cost }
  }

  #dispatch(
    { pipeline, uses, groups }: Dispatched,
    start: number,
    made: Map<string, GPUBindGroup>,
  ): Encodable {
    const bindings = uses.map(({ ref }) => this.#at(ref))
    const key = [pipeline.id, ...bindings.map((b) => `${b.block.id}:${b.offset}:${b.bytes}`)].join()
    const group =
      made.get(key) ??
      this.#commands.bindGroups.make(pipeline, bindings, this.#uniforms.block.buffer)
    made.set(key, group)
    const offsets = pipeline.paramBytes > 0 ? [start] : []
    const cost = this.#commands.costOf({ pipeline, bindings, groups })
    return { kind: 'dispatch', pipeline, group, offsets, groups, cost }
  }

  #write(command: Dispatched | Copied, start: number) {
    if (command.kind === 'dispatch')
      for (const [field, value] of command.values.entries())
        writeParam(this.#params, start, command.kernel, field, value)
  }

  /** Returns a function that repeats a recorded call. */
  #repeat(call: ReplayedCall): () => void {
    if (call.kind === 'action') return call.act
    const command = this.#trace.commands[call.command]
    const start = this.#starts[call.command] ?? 0
    if (command?.kind !== 'dispatch')
      throw new Error('a captured step has a param without a dispatch')
    const { kernel } = command
    return () => {
      const value = paramOf(kernel, call.field, call.value)
      writeParam(this.#params, start, kernel, call.field, value)
    }
  }

  #copyParams({ commands }: Trace) {
    for (const [i, command] of commands.entries()) {
      const start = this.#starts[i] ?? 0
      if (start < this.#changing) this.#write(command, start)
    }
  }
}

const LABEL = { label: 'kindred replay' }

/** Lays out the params in one buffer, those that change from step to step first. Returns where each
 *  command's params begin, and the bytes of those that change and of all. */
function layOut(commands: Trace['commands'], align: number) {
  const starts = commands.map(() => 0)
  const changes = (command: Dispatched | Copied) =>
    command.kind === 'dispatch' && command.params.some((param) => typeof param !== 'number')
  let bytes = 0
  const append = (which: (command: Dispatched | Copied) => boolean) => {
    for (const [i, command] of commands.entries()) {
      if (command.kind === 'copy' || command.pipeline.paramBytes === 0 || !which(command)) continue
      starts[i] = bytes
      bytes = Math.ceil((bytes + command.pipeline.paramBytes) / align) * align
    }
    return bytes
  }
  const changing = append(changes)
  const all = append((command) => !changes(command))
  return { starts, changing, bytes: Math.max(4, all) }
}
