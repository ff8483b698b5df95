// Finds the first op that makes a NaN or an infinity.

import { type Machine, type Pass, type Tensor, type Variable, show } from '../../kernels/op.ts'
import { checkOptions, flag } from '../../kernels/options.ts'
import { COUNT_WORDS, countNonFinite } from '../../kernels/reduce/non-finite.ts'
import { type Assembly, partsOf } from '../assemble.ts'
import type { KernelCall, OpCall } from '../observe.ts'
import { printsAs } from '../inspect.ts'
import type { Named } from '../named.ts'
import { type Place, Layers, NOWHERE, namedRule } from './layers.ts'
import type { TensorKind } from './trace.ts'
import { watched } from './watch.ts'

/** Options of `findNaN`. */
export interface FindNaNOptions {
  /** Names of parameters, as `parametersOf` returns. Those of `Builder` and of optimizers are known
   *  without it. */
  readonly parameters?: Named
  /** False looks for NaN alone; true by default. Masks of -Infinity and a LossScaler's overflows
   *  are infinities that are meant. */
  readonly infinities?: boolean
}

/** The tensor in which a NaN or an infinity was found. */
interface Culprit extends Place {
  /** The op; or the kernel, outside of ops. */
  readonly op: string
  /** 'update' for what runs outside of ops and backward passes: an optimizer, a queue. */
  readonly pass: Pass | 'update'
  /** 'input' if the op was given it: a parameter or a batch held it before. */
  readonly role: 'input' | 'output'
  /** The name of the parameter, or of the parameter whose gradient this is; null if it has none. */
  readonly name: string | null
  /** The tensor that holds it. */
  readonly tensor: TensorKind
  /** The op's inputs; in a backward pass the gradients of its outputs. */
  readonly inputs: readonly (TensorKind | null)[]
}

interface Count {
  readonly nan: number
  readonly infinite: number
  /** The place of the first one, along each axis. */
  readonly first: readonly number[]
}

/** The first NaN or infinity of a body. Prints as a few lines. */
export interface NonFinite extends Culprit, Count {
  toString(): string
}

const SLOTS = 1024 // counts in one variable

/** Counts every tensor that is made, and those that were there before, once each. */
class Counter {
  readonly #parts: Assembly
  readonly #layers: Layers
  readonly #found: Variable[] = []
  readonly #checks: { readonly culprit: Culprit }[] = []
  readonly #seen = new WeakSet<Tensor>()

  constructor(parts: Assembly, names: Named | undefined) {
    this.#parts = parts
    this.#layers = new Layers(names)
  }

  readonly op = ({ name, pass, inputs, cotangents }: OpCall) => {
    const isForward = pass === 'forward'
    const place = this.#layers.place(inputs)
    const given = isForward ? inputs : cotangents
    const common = { op: name, pass, ...place, inputs: given.map((t) => t && kindOf(t)) }
    for (const t of given) if (t) this.#check(t, { ...common, role: 'input', name: this.#name(t) })
    return (made: readonly (Tensor | null)[]) => {
      if (isForward) this.#layers.made(made, place)
      for (const [i, t] of made.entries()) {
        const of = isForward ? undefined : inputs[i]
        if (t) this.#check(t, { ...common, role: 'output', name: of ? this.#name(of) : null })
      }
    }
  }

  readonly kernel = ({ kernel, pass, isOfOp, reads, updates, made }: KernelCall) => {
    if (isOfOp) return () => {}
    const inputs = reads.map(kindOf)
    const common = { op: kernel.name, pass, ...NOWHERE, inputs }
    const note = (role: Culprit['role'], tensors: readonly Tensor[]) => {
      for (const t of tensors) this.#check(t, { ...common, role, name: this.#name(t) })
    }
    note('input', [...reads, ...updates])
    return () => {
      for (const t of updates) this.#seen.delete(t)
      note('output', [...updates, ...made])
    }
  }

  /** Returns the first tensor that holds one, or null. */
  async first(infinities: boolean): Promise<NonFinite | null> {
    const { reads } = this.#parts
    const values = await Promise.all(this.#found.map((found) => reads.read(found)))
    const words = values.map(({ buffer }) => new Uint32Array(buffer))
    for (const [i, { culprit }] of this.#checks.entries()) {
      const at = (i % SLOTS) * COUNT_WORDS
      const [nan = 0, infinite = 0, ...left] =
        words[Math.floor(i / SLOTS)]?.subarray(at, at + COUNT_WORDS) ?? []
      if (nan + (infinities ? infinite : 0) === 0) continue
      const { shape } = culprit.tensor
      const size = shape.reduce((a, b) => a * b, 1)
      const most = Math.max(...left.slice(0, infinities ? 2 : 1))
      return { ...culprit, nan, infinite, first: placeOf(size - most, shape) }
    }
    return null
  }

  /** Frees the counts. */
  free() {
    const { memory, tensors } = this.#parts
    memory.free(tensors.storagesAlive(this.#found))
  }

  #name(t: Tensor) {
    return this.#layers.name(t)
  }

  #check(t: Tensor, culprit: Omit<Culprit, 'tensor'>) {
    if (this.#seen.has(t) || (t.dtype !== 'f32' && t.dtype !== 'f16')) return
    this.#seen.add(t)
    const { run, tensors } = this.#parts
    const slot = this.#checks.length % SLOTS
    if (slot === 0) this.#found.push(tensors.variable(new Float32Array(SLOTS * COUNT_WORDS)))
    const found = this.#found.at(-1)
    if (found) countNonFinite(run, t, found, slot * COUNT_WORDS)
    this.#checks.push({ culprit: { ...culprit, tensor: kindOf(t) } })
  }
}

const kindOf = ({ shape, dtype }: Tensor): TensorKind => ({ shape: [...shape], dtype })

/** The place of element `i`, along each axis. */
function placeOf(i: number, shape: readonly number[]): number[] {
  let rest = i
  return shape
    .toReversed()
    .map((size) => {
      const at = rest % size
      rest = Math.floor(rest / size)
      return at
    })
    .reverse()
}

/** Runs `body`, such as a training step, and finds the first op or kernel that made a NaN or an
 *  infinity, or was given one, in its forward, its backward or an update; null if there is none.
 *  Every tensor costs one more kernel. Captured steps run their JavaScript. Then puts back what the
 *  body changed, as `trace` does, so that weights and counters are as before. Throws Error within a
 *  step, and for an async body. */
export async function findNaN(
  gpu: Machine,
  body: () => unknown,
  options: FindNaNOptions = {},
): Promise<NonFinite | null> {
  const rules = { parameters: namedRule, infinities: flag }
  const { parameters, infinities = true } = checkOptions('findNaN', options, rules)
  const counting: { counter?: Counter } = {}
  const counter = () => (counting.counter ??= new Counter(partsOf(gpu), parameters))
  try {
    watched('findNaN', gpu, body, {
      op: (call) => counter().op(call),
      kernel: (call) => counter().kernel(call),
    })
    const found = (await counting.counter?.first(infinities)) ?? null
    return found && printsAs(found, textOf)
  } finally {
    counting.counter?.free()
  }
}

const kindText = ({ dtype, shape }: TensorKind) => `${dtype} ${show(shape)}`

function textOf(found: NonFinite): string {
  const { op, pass, role, nan, infinite, first, layer, after, inputs } = found
  const counts = [
    ...(nan > 0 ? [`${nan} NaN`] : []),
    ...(infinite > 0 ? [`${infinite} infinite`] : []),
  ].join(' and ')
  const did = role === 'input' ? 'was given' : 'made'
  const shapes = inputs.map((input) => (input ? kindText(input) : 'none')).join(', ')
  const where = layer ? [`layer ${layer}`] : after ? [`after layer ${after}`] : []
  return [
    `${op} (${pass}) ${did} ${counts}`,
    ...where,
    `${wordsOf(found)} ${kindText(found.tensor)}, the first at ${show(first)}`,
    `${pass === 'backward' ? 'gradients of its outputs' : 'inputs'} ${shapes || 'none'}`,
  ].join('\n  ')
}

/** What the tensor is. */
function wordsOf({ pass, role, name }: Culprit): string {
  if (pass !== 'backward') return name ?? role
  if (role === 'input') return 'gradient of an output'
  return `gradient of ${name ?? 'an input'}`
}
