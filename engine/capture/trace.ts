// Records the commands of one step: enough to compare two steps, and to execute one again. Storage
// made in the step is a temporary, known by its number. All other storage is known by its block and
// offset.

import { type Kernel, type Scalar, type Tensor, valueOf } from '../../kernels/op.ts'
import type { Block, Storage } from '../memory.ts'
import type { Pipeline } from '../pipelines.ts'

/** The number of a temporary, or -1 - i for outer storage i. */
export type Ref = number

export interface Use {
  readonly ref: Ref
  readonly writes: boolean
}

export interface Dispatched {
  readonly kind: 'dispatch'
  readonly pipeline: Pipeline
  readonly kernel: Kernel
  readonly uses: readonly Use[]
  readonly params: readonly Scalar[]
  /** The values of the params when they were recorded. */
  readonly values: readonly number[]
  readonly groups: readonly [number, number, number]
}

export interface Copied {
  readonly kind: 'copy'
  readonly uses: readonly [from: Use, to: Use]
  /** Bytes from the beginning of the target. */
  readonly at: number
}

/** A command that a trace records. */
export type Recorded =
  | Dispatched
  | Copied
  | { readonly kind: 'upload'; readonly constant: Uint8Array<ArrayBuffer> }

/** A recorded command that was not executed. */
export interface PendingCommand {
  readonly command: Recorded
  readonly storages: readonly Storage[]
  /** The freed storages that no later command uses. */
  readonly lastUsed: readonly Storage[]
}

/** Storage from before the step: of a variable, an input, or a tensor that someone holds. */
export interface Outer {
  readonly storage: Storage
  readonly block: Block
  readonly offset: number
}

export interface Temporary {
  readonly bytes: number
  /** The bytes uploaded into it, for a tensor of constants. */
  readonly constant: Uint8Array<ArrayBuffer> | null
}

/** JavaScript that a replay calls too: an action, or the function of a param. */
export type ReplayedCall =
  | { readonly kind: 'action'; readonly act: () => void }
  | {
      readonly kind: 'param'
      readonly command: number
      readonly field: number
      readonly value: () => number
    }

/** A tensor that the step returned: itself if it is from before the step, else its shape and
 *  dtype. */
export interface Output {
  readonly ref: Ref
  readonly tensor: Tensor
}

/** The time at which recorded commands are executed: at once, at the end of the step, or never.
 *  'ahead' is never too, for a step that was not replayed yet: to learn which kernels it runs. */
export type Execution = 'immediate' | 'deferred' | 'never' | 'ahead'

export class Trace {
  readonly commands: (Dispatched | Copied)[] = []
  readonly temporaries: Temporary[] = []
  readonly outer: Outer[] = []
  readonly calls: ReplayedCall[] = []
  outputs: readonly Output[] = []
  /** The reason why this step cannot be replayed. */
  obstacle: string | null = null
  #execution: Execution
  #isNew: (storage: Storage) => boolean = () => false
  #catchUp = () => {}
  readonly #refs = new Map<Storage, Ref>()
  #before: Trace | null
  readonly #functions: readonly (() => number)[] // of the step before
  #values: readonly number[] // of those functions, after the last action

  /** `before` is the trace of an earlier step, whose functions must give this step's values. */
  constructor(before: Trace | null, execution: Execution) {
    this.#before = before
    this.#execution = execution
    this.#functions = before?.calls.flatMap((c) => (c.kind === 'param' ? [c.value] : [])) ?? []
    this.#values = this.#functions.map(valueOf)
  }

  /** True while commands are recorded without being executed. */
  get recordsOnly(): boolean {
    return this.#execution !== 'immediate'
  }

  /** `isNew` tells which storages were made since recording began. `catchUp` executes the commands
   *  so far, before one that has to be executed at once. */
  attach(isNew: (storage: Storage) => boolean, catchUp: () => void) {
    this.#isNew = isNew
    this.#catchUp = catchUp
  }

  dispatch(
    { pipeline, kernel, groups }: Pick<Dispatched, 'pipeline' | 'kernel' | 'groups'>,
    storages: readonly Storage[],
    { params, values }: Pick<Dispatched, 'params' | 'values'>,
  ) {
    const uses = storages.map((s, i) => this.#use(s, kernel.bindings[i] === 'read_write'))
    for (const [field, param] of params.entries()) {
      if (typeof param === 'number') continue
      this.#checkNotRemembered(kernel, field, values)
      this.calls.push({ kind: 'param', command: this.commands.length, field, value: param })
    }
    this.commands.push({ kind: 'dispatch', pipeline, kernel, uses, params, values, groups })
  }

  copy(from: Storage, to: Storage, at: number) {
    this.commands.push({ kind: 'copy', uses: [this.#use(from, false), this.#use(to, true)], at })
  }

  /** Records constants that an op uploaded. */
  upload(to: Storage, bytes: Uint8Array<ArrayBuffer>) {
    this.#refs.set(to, this.temporaries.length)
    this.temporaries.push({ bytes: to.bytes, constant: bytes.slice() }) // the owner may change them
  }

  /** Calls and records an action that replays repeat. */
  act(action: () => void) {
    this.#checkUnchanged()
    action()
    this.#values = this.#functions.map(valueOf)
    this.calls.push({ kind: 'action', act: action })
  }

  /** Notes something that a replay could not do; from now on commands are executed at once. Throws
   *  Error in a recording that is never executed, unless it is 'ahead' and goes on without. */
  refuse(why: string, { without = false }: { readonly without?: boolean } = {}) {
    if (this.#execution === 'ahead' && without) return
    this.obstacle ??= why
    if (this.#execution === 'never' || this.#execution === 'ahead') throw new Error(why)
    if (this.#execution === 'deferred') this.#catchUp()
    this.#execution = 'immediate'
  }

  /** Yields the commands recorded so far. */
  *pending(): Iterable<PendingCommand> {
    const storages = new Map([...this.#refs].map(([storage, ref]) => [ref, storage]))
    const at = (ref: Ref): Storage => {
      const storage = storages.get(ref)
      if (!storage) throw new Error(`a traced step has no tensor ${ref}`)
      return storage
    }
    const recorded: { readonly command: Recorded; readonly refs: readonly Ref[] }[] = [
      ...this.temporaries.flatMap(({ constant }, ref) =>
        constant ? [{ command: { kind: 'upload', constant } as const, refs: [ref] }] : [],
      ),
      ...this.commands.map((command) => ({ command, refs: command.uses.map(({ ref }) => ref) })),
    ]
    const freed = new Set([...storages.values()].filter(({ block }) => block === null))
    const last = new Map(recorded.flatMap(({ refs }, i) => refs.map((ref) => [ref, i] as const)))
    for (const [i, { command, refs }] of recorded.entries()) {
      const lastUsed = [...new Set(refs)].filter((ref) => last.get(ref) === i && freed.has(at(ref)))
      yield { command, storages: refs.map(at), lastUsed: lastUsed.map(at) }
    }
  }

  /** Ends the step with the tensors that it returned. */
  returns(tensors: readonly Tensor[], storages: readonly Storage[]) {
    this.#checkUnchanged()
    this.#before = null // else every trace would keep the one before alive
    this.outputs = storages.flatMap((storage, i) => {
      const tensor = tensors[i]
      if (!tensor) return []
      const { ref } = this.#use(storage, false)
      const { shape, dtype, gpu } = tensor
      // a temporary's tensor would keep its history alive
      return [{ ref, tensor: ref < 0 ? tensor : { shape, dtype, gpu } }]
    })
  }

  #use(storage: Storage, writes: boolean): Use {
    const known = this.#refs.get(storage)
    if (known !== undefined) return { ref: known, writes }
    // ops write only variables and new tensors; a new tensor without elements may stay unwritten
    const isTemporary = (writes && !storage.permanent) || this.#isNew(storage)
    const ref = isTemporary ? this.temporaries.length : -1 - this.outer.length
    this.#refs.set(storage, ref)
    if (isTemporary) this.temporaries.push({ bytes: storage.bytes, constant: null })
    else if (storage.block)
      this.outer.push({ storage, block: storage.block, offset: storage.offset })
    return { ref, writes }
  }

  /** Refuses a step in which the value of a function changed other than by an action: a replay runs
   *  no other JavaScript. */
  #checkUnchanged() {
    const at = this.#functions.findIndex((value, i) => !Object.is(value(), this.#values[i]))
    if (at >= 0)
      this.refuse(
        `a number that params are computed from went from ${this.#values[at]} to ${this.#functions[at]?.()} within the step; let it change in gpu.everyStep, or between steps`,
      )
  }

  /** Refuses a function that remembers a number of its own step: a replay would get the old
   *  number. */
  #checkNotRemembered(kernel: Kernel, field: number, values: readonly number[]) {
    const then = this.#before?.commands[this.commands.length]
    if (then?.kind !== 'dispatch' || then.kernel !== kernel) return
    const param = then.params[field]
    if (typeof param !== 'function') return
    const [old, now] = [param(), values[field]]
    if (!Object.is(old, now))
      this.refuse(
        `${kernel.name}: the function for ${kernel.params[field]?.[0]} of an earlier step gives ${old} where this step's gives ${now}; let it read state that lives on`,
      )
  }
}
