// What has been computed from what. Each tensor knows the entry that made it, so a graph that nobody holds is collected
// like any other object, and a backward pass sees only what its output was computed from.

import { type Run, type Tensor, show, sizeOf } from '../kernels/op.ts'
import { accumulate } from '../kernels/optim/accumulate.ts'
import { Gradients } from './optim/gradients.ts'
import type { Spent } from './spent.ts'

type Cotangents = readonly (Tensor | null)[]

interface Entry {
  readonly order: number
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly pullback: (
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    wanted: readonly boolean[],
  ) => Cotangents
}

/** What a backward pass is asked for. */
interface Pass {
  /** Tensors whose gradients are wanted; all of them where it is null. */
  readonly of: ReadonlySet<Tensor> | null
  readonly spent: Spent | null
}

export class Tape {
  readonly #makers = new WeakMap<Tensor, Entry>()
  #order = 0
  #paused = false

  get paused(): boolean {
    return this.#paused
  }

  /** Remembers how `outputs` came from `inputs`. */
  record(inputs: readonly Tensor[], outputs: readonly Tensor[], pullback: Entry['pullback']) {
    const entry = { order: this.#order++, inputs, outputs, pullback }
    for (const output of outputs) this.#makers.set(output, entry)
  }

  /** Remembers that how a tensor came about is not known any more: a backward pass that reaches it throws. */
  end(output: Tensor) {
    this.record([], [output], () => {
      throw new Error(`a tensor ${show(output.shape)} has no gradient after the step it was made in`)
    })
  }

  /** Runs `body` off the record: nothing computed inside carries a gradient. */
  pause<T>(body: () => T): T {
    const before = this.#paused
    this.#paused = true
    try {
      return body()
    } finally {
      this.#paused = before
    }
  }

  /** Gradient of outputs, each given with its own, with respect to everything they were computed
   *  from, or to what `of` names: the pass then goes where it is reached from, and nowhere else.
   *  With `spent`, only of what was not computed itself, or is named: the other gradients are
   *  given to it when they have been handed on, and those that remain may be in parts. */
  backward(
    run: Run,
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    { of, spent }: Pass,
  ): Map<Tensor, Tensor> {
    const gradients = new Gradients([], (a, b) => accumulate(run, a, b))
    for (const [output, cotangent] of weighted) {
      const sum = gradients.get(output)
      gradients.set(output, sum ? accumulate(run, sum, cotangent) : cotangent)
    }
    const history = this.#history(weighted.map(([output]) => output))
    const given = weighted.map(([, cotangent]) => cotangent)
    spent?.pin([...given, ...history.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])])
    const { entries, leads } = leading(history, of)
    for (const entry of entries) {
      const [first, ...others] = entry.outputs.map((o) => gradients.get(o) ?? null)
      const main = entry.outputs[0]
      if (!main || (!first && others.every((g) => g === null))) continue
      const wanted = entry.inputs.map(leads)
      const made = entry.pullback([first ?? zeros(run, main), ...others], wanted)
      for (const gradient of made) if (gradient) spent?.hold(gradient)
      for (const [i, input] of entry.inputs.entries()) {
        const more = made[i]
        if (more && wanted[i]) this.#add(run, gradients, { input, more }, spent)
        else if (more) spent?.drop(more)
      }
      for (const [i, gradient] of spent ? [first, ...others].entries() : []) {
        const output = entry.outputs[i]
        if (!gradient || !output || of?.has(output)) continue
        gradients.delete(output)
        spent?.drop(gradient)
      }
    }
    if (of) for (const tensor of [...gradients.keys()]) if (!of.has(tensor)) gradients.delete(tensor)
    return gradients
  }

  #add(
    run: Run,
    gradients: Gradients,
    { input, more }: { readonly input: Tensor; readonly more: Tensor },
    spent: Spent | null,
  ) {
    const isLast = spent && !this.#makers.has(input) // nothing is computed from it before the pass has ended
    if (!gradients.has(input)) gradients.set(input, more)
    else if (isLast) gradients.addLater(input, more)
    else gradients.set(input, added(run, gradients.get(input) ?? more, more, spent))
  }

  /** The entries that these depend on, latest first: an order in which every use comes before its source. */
  #history(outputs: readonly Tensor[]): Entry[] {
    const found = new Set<Entry>()
    const open = [...outputs]
    for (let tensor = open.pop(); tensor; tensor = open.pop()) {
      const entry = this.#makers.get(tensor)
      if (!entry || found.has(entry)) continue
      found.add(entry)
      open.push(...entry.inputs)
    }
    return [...found].sort((a, b) => b.order - a.order)
  }
}

/** The entries through which a gradient reaches what is wanted, in their order, and which
 *  tensors it goes to on the way. What lost its history counts as wanted, so that reaching it is
 *  told. */
function leading(history: readonly Entry[], of: ReadonlySet<Tensor> | null) {
  if (!of) return { entries: history, leads: () => true }
  const found = new Set(of)
  const entries = new Set<Entry>()
  for (const entry of [...history].reverse()) {
    if (entry.inputs.length > 0 && !entry.inputs.some((input) => found.has(input))) continue
    entries.add(entry)
    for (const output of entry.outputs) found.add(output)
  }
  const leads = (tensor: Tensor) => found.has(tensor)
  return { entries: history.filter((entry) => entries.has(entry)), leads }
}

function added(run: Run, sum: Tensor, more: Tensor, spent: Spent | null): Tensor {
  const total = accumulate(run, sum, more)
  spent?.hold(total)
  spent?.drop(sum)
  spent?.drop(more)
  return total
}

const zeros = (run: Run, like: Tensor) => run.tensor(new Float32Array(sizeOf(like.shape)), like.shape)
