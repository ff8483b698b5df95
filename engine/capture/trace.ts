// Records the commands of one step: enough to compare two steps, and to execute one again. Storage
// made in the step is a temporary, known by its number; all other storage is known by its place.

import { type Kernel, type Scalar, type Tensor, valueOf } from '../../kernels/op.ts'
import type { Block, Storage } from '../memory.ts'
import type { Pipeline } from '../pipelines.ts'

/** A temporary from 0 on, or outer storage i as -1 - i. */
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
  /** The params as they were. */
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
export type Written =
  | Dispatched
  | Copied
  | { readonly kind: 'upload'; readonly constant: Uint8Array<ArrayBuffer> }

/** A recorded command that is executed after all. */
export interface Redo {
  readonly command: Written
  readonly storages: readonly Storage[]
  /** Storages that were freed, and are in no later command. */
  readonly over: readonly Storage[]
}

/** Storage that was there before the step: a variable's, an input's, a tensor's that someone
 *  holds. */
export interface Outer {
  readonly storage: Storage
  readonly block: Block
  readonly offset: number
}

export interface Temporary {
  readonly bytes: number
  /** What was uploaded into it, for a tensor of constants. */
  readonly constant: Uint8Array<ArrayBuffer> | null
}

/** JavaScript that a replay runs too: an action, or the function of a param. */
export type Moment =
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

export class Trace {
  readonly commands: (Dispatched | Copied)[] = []
  readonly temporaries: Temporary[] = []
  readonly outer: Outer[] = []
  readonly moments: Moment[] = []
  outputs: readonly Output[] = []
  /** Null when commands are executed while they are recorded; else they are held until the step has
   *  ended ('deferred'), or never executed ('rehearsal'). */
  held: 'deferred' | 'rehearsal' | null
  #isNew: (storage: Storage) => boolean = () => false
  #letGo = () => {}
  /** Why this step cannot be replayed. */
  obstacle: string | null = null
  readonly #refs = new Map<Storage, Ref>()
  #before: Trace | null
  readonly #functions: readonly (() => number)[] // of the step before
  #values: readonly number[] // what they give, as far as actions have changed it

  /** `before` is the trace of an earlier step, whose functions must give this step's values. */
  constructor(before: Trace | null, held: Trace['held'] = null) {
    this.#before = before
    this.held = held
    this.#functions = before?.moments.flatMap((m) => (m.kind === 'param' ? [m.value] : [])) ?? []
    this.#values = this.#functions.map(valueOf)
  }

  /** Tells the trace which storages were made while it holds commands, and how to execute the held
   *  ones when one cannot be held. */
  attach(isNew: (storage: Storage) => boolean, letGo: () => void) {
    this.#isNew = isNew
    this.#letGo = letGo
  }

  dispatch(
    { pipeline, kernel, groups }: Pick<Dispatched, 'pipeline' | 'kernel' | 'groups'>,
    storages: readonly Storage[],
    { params, values }: Pick<Dispatched, 'params' | 'values'>,
  ) {
    const uses = storages.map((s, i) => this.#use(s, kernel.bindings[i] === 'read_write'))
    for (const [field, param] of params.entries()) {
      if (typeof param === 'number') continue
      this.#checkRemembered(kernel, field, values)
      this.moments.push({ kind: 'param', command: this.commands.length, field, value: param })
    }
    this.commands.push({ kind: 'dispatch', pipeline, kernel, uses, params, values, groups })
  }

  copy(from: Storage, to: Storage, at: number) {
    this.commands.push({ kind: 'copy', uses: [this.#use(from, false), this.#use(to, true)], at })
  }

  /** Records constants that an op uploaded. */
  upload(to: Storage, bytes: Uint8Array<ArrayBuffer>) {
    this.#refs.set(to, this.temporaries.length)
    this.temporaries.push({ bytes: to.bytes, constant: bytes.slice() }) // they may be their owner's
  }

  /** Calls and records an action that replays repeat. */
  act(action: () => void) {
    this.#checkStill()
    action()
    this.#values = this.#functions.map(valueOf)
    this.moments.push({ kind: 'action', act: action })
  }

  /** Notes what a replay could not do. In a rehearsal, where it is too late for that, throws
   *  Error. */
  refuse(why: string) {
    this.obstacle ??= why
    if (this.held === 'rehearsal') throw new Error(why)
    if (this.held) this.#letGo()
    this.held = null
  }

  /** Yields the commands recorded so far, each with its storages, and those of them that were freed
   *  and are in no later command. */
  *redo(): Iterable<Redo> {
    const storages = new Map([...this.#refs].map(([storage, ref]) => [ref, storage]))
    const at = (ref: Ref): Storage => {
      const storage = storages.get(ref)
      if (!storage) throw new Error(`a traced step has no tensor ${ref}`)
      return storage
    }
    const written: { readonly command: Written; readonly refs: readonly Ref[] }[] = [
      ...this.temporaries.flatMap(({ constant }, ref) =>
        constant ? [{ command: { kind: 'upload', constant } as const, refs: [ref] }] : [],
      ),
      ...this.commands.map((command) => ({ command, refs: command.uses.map(({ ref }) => ref) })),
    ]
    const released = new Set([...storages.values()].filter(({ block }) => block === null))
    const last = new Map(written.flatMap(({ refs }, i) => refs.map((ref) => [ref, i] as const)))
    for (const [i, { command, refs }] of written.entries()) {
      const over = [...new Set(refs)].filter((ref) => last.get(ref) === i && released.has(at(ref)))
      yield { command, storages: refs.map(at), over: over.map(at) }
    }
  }

  /** Ends the step with the tensors that it returned. */
  returns(tensors: readonly Tensor[], storages: readonly Storage[]) {
    this.#checkStill()
    this.#before = null // which has one before it, and so on
    this.outputs = storages.flatMap((storage, i) => {
      const tensor = tensors[i]
      if (!tensor) return []
      const { ref } = this.#use(storage, false)
      const { shape, dtype, gpu } = tensor
      return [{ ref, tensor: ref < 0 ? tensor : { shape, dtype, gpu } }] // a tensor would keep alive all it came from
    })
  }

  #use(storage: Storage, writes: boolean): Use {
    const known = this.#refs.get(storage)
    if (known !== undefined) return { ref: known, writes }
    // ops write only variables and what they make, and may leave that unwritten where it has no
    // elements
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
  #checkStill() {
    const at = this.#functions.findIndex((value, i) => !Object.is(value(), this.#values[i]))
    if (at >= 0)
      this.refuse(
        `a number that params are computed from went from ${this.#values[at]} to ${this.#functions[at]?.()} within the step; let it change in gpu.everyStep, or between steps`,
      )
  }

  /** Refuses a function that remembers a number of its own step: a replay would get the old
   *  number. */
  #checkRemembered(kernel: Kernel, field: number, values: readonly number[]) {
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
