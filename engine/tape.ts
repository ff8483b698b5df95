// What has been computed from what. Each tensor knows the entry that made it, so a graph that nobody holds is collected
// like any other object, and a backward pass sees only what its output was computed from.

import { type Run, type Tensor, show, sizeOf } from '../kernels/op.ts'
import { addOp } from '../kernels/add.ts'

type Gradients = readonly (Tensor | null)[]

interface Entry {
  readonly order: number
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly pullback: (cotangents: readonly [Tensor, ...(Tensor | null)[]]) => Gradients
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

  /** Gradient of `output`, whose own is `cotangent`, with respect to everything it was computed from. */
  backward(run: Run, output: Tensor, cotangent: Tensor): Map<Tensor, Tensor> {
    const gradients = new Map([[output, cotangent]])
    for (const entry of this.#history(output)) {
      const [first, ...others] = entry.outputs.map((o) => gradients.get(o) ?? null)
      const main = entry.outputs[0]
      if (!main || (!first && others.every((g) => g === null))) continue
      const inputGradients = entry.pullback([first ?? zeros(run, main), ...others])
      for (const [i, input] of entry.inputs.entries()) {
        const [sum, more] = [gradients.get(input), inputGradients[i]]
        if (more) gradients.set(input, sum ? addOp.forward(run, {}, sum, more)[0] : more)
      }
    }
    return gradients
  }

  /** The entries that `output` depends on, latest first: an order in which every use comes before its source. */
  #history(output: Tensor): Entry[] {
    const found = new Set<Entry>()
    const open = [output]
    for (let tensor = open.pop(); tensor; tensor = open.pop()) {
      const entry = this.#makers.get(tensor)
      if (!entry || found.has(entry)) continue
      found.add(entry)
      open.push(...entry.inputs)
    }
    return [...found].sort((a, b) => b.order - a.order)
  }
}

const zeros = (run: Run, like: Tensor) => run.tensor(new Float32Array(sizeOf(like.shape)), like.shape)
