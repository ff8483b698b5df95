// What has been computed from what. Each tensor knows the entry that made it, so a graph that nobody holds is collected
// like any other object, and a backward pass sees only what its output was computed from.

import { type Run, type Tensor, show, sizeOf } from '../kernels/op.ts'
import { accumulate } from '../kernels/accumulate.ts'
import { Gradients } from './gradients.ts'
import type { Spent } from './spent.ts'

type Cotangents = readonly (Tensor | null)[]

interface Entry {
  readonly order: number
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly pullback: (cotangents: readonly [Tensor, ...(Tensor | null)[]]) => Cotangents
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

  /** Gradient of outputs, each given with its own, with respect to everything they were computed from. With `spent`, only
   *  of what was not computed itself: the other gradients are given to it when they have been handed on, and those that
   *  remain may be in parts. */
  backward(
    run: Run,
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    spent: Spent | null,
  ): Map<Tensor, Tensor> {
    const gradients = new Gradients([], (a, b) => accumulate(run, a, b))
    for (const [output, cotangent] of weighted) {
      const sum = gradients.get(output)
      gradients.set(output, sum ? accumulate(run, sum, cotangent) : cotangent)
    }
    const history = this.#history(weighted.map(([output]) => output))
    const given = weighted.map(([, cotangent]) => cotangent)
    spent?.pin([...given, ...history.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])])
    for (const entry of history) {
      const [first, ...others] = entry.outputs.map((o) => gradients.get(o) ?? null)
      const main = entry.outputs[0]
      if (!main || (!first && others.every((g) => g === null))) continue
      const inputGradients = entry.pullback([first ?? zeros(run, main), ...others])
      for (const gradient of inputGradients) if (gradient) spent?.hold(gradient)
      for (const [i, input] of entry.inputs.entries()) {
        const more = inputGradients[i]
        if (!more) continue
        const isLast = spent && !this.#makers.has(input) // nothing is computed from it before the pass has ended
        if (!gradients.has(input)) gradients.set(input, more)
        else if (isLast) gradients.addLater(input, more)
        else gradients.set(input, added(run, gradients.get(input) ?? more, more, spent))
      }
      if (!spent) continue
      for (const [i, gradient] of [first, ...others].entries()) {
        const of = entry.outputs[i]
        if (!gradient || !of) continue
        gradients.delete(of)
        spent.drop(gradient)
      }
    }
    return gradients
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

function added(run: Run, sum: Tensor, more: Tensor, spent: Spent | null): Tensor {
  const total = accumulate(run, sum, more)
  spent?.hold(total)
  spent?.drop(sum)
  spent?.drop(more)
  return total
}

const zeros = (run: Run, like: Tensor) => run.tensor(new Float32Array(sizeOf(like.shape)), like.shape)
