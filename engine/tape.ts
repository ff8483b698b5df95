// The tape: which op made each tensor. A tensor refers to the entry that made it, so that a graph
// that nobody holds is collected like any other object, and a backward pass visits only what its
// output was computed from.

import { type Run, type Tensor, show, sizeOf } from '../kernels/op.ts'
import { accumulate } from '../kernels/optim/accumulate.ts'
import { storedAs } from '../kernels/wgsl/storage.ts'
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
    addend: Tensor | null,
  ) => Cotangents
  /** Whether the gradient of the first output may come in two addends. */
  readonly takesAddend: boolean
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

  /** Records that outputs were computed from inputs. */
  record(made: Omit<Entry, 'order'>) {
    const entry = { order: this.#order++, ...made }
    for (const output of made.outputs) this.#makers.set(output, entry)
  }

  /** Forgets how a tensor was made: a backward pass that reaches it throws. */
  end(output: Tensor) {
    const pullback = () => {
      throw new Error(
        `a tensor ${show(output.shape)} has no gradient after the step it was made in`,
      )
    }
    this.record({ inputs: [], outputs: [output], pullback, takesAddend: false })
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

  /** Backpropagates `weighted` outputs (tensor and cotangent) to everything they were computed
   *  from, or, with `of`, to those tensors alone, visiting only the entries that lead there. With
   *  `spent`, frees the gradients of computed tensors once they are used, unless `of` names them;
   *  leaf gradients may then still be split in two addends. */
  backward(
    run: Run,
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    { of, spent }: Pass,
  ): Map<Tensor, Tensor> {
    const gradients = new Gradients([], (a, b) => added(run, a, b, spent))
    for (const [output, cotangent] of weighted) {
      const sum = gradients.get(output)
      gradients.set(output, sum ? accumulate(run, sum, cotangent) : cotangent)
    }
    const history = this.#history(weighted.map(([output]) => output))
    const given = weighted.map(([, cotangent]) => cotangent)
    spent?.pin([...given, ...history.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])])
    const { entries, leads } = leading(history, of)
    for (const entry of entries) {
      const [main, ...rest] = entry.outputs
      if (!main) continue
      const [first, addend = null] = entry.takesAddend
        ? gradients.parts(main)
        : [gradients.get(main)]
      const others = rest.map((o) => gradients.get(o) ?? null)
      if (!first && others.every((g) => g === null)) continue
      const wanted = entry.inputs.map(leads)
      const made = entry.pullback([first ?? zeros(run, main), ...others], wanted, addend)
      for (const gradient of made) if (gradient) spent?.hold(gradient)
      for (const [i, input] of entry.inputs.entries()) {
        const more = made[i]
        if (more && wanted[i]) this.#add(run, gradients, { input, more }, spent)
        else if (more) spent?.drop(more)
      }
      for (const output of spent ? entry.outputs : []) {
        if (of?.has(output)) continue
        for (const part of gradients.parts(output)) spent?.drop(part)
        gradients.delete(output)
      }
    }
    if (of)
      for (const tensor of [...gradients.keys()]) if (!of.has(tensor)) gradients.delete(tensor)
    return gradients
  }

  #add(
    run: Run,
    gradients: Gradients,
    { input, more }: { readonly input: Tensor; readonly more: Tensor },
    spent: Spent | null,
  ) {
    const maker = this.#makers.get(input)
    const isLast = spent && !maker // nothing is computed from it before the pass has ended
    const isAddend = maker?.takesAddend && maker.outputs[0] === input
    if (!gradients.has(input)) gradients.set(input, more)
    else if (isLast || isAddend) gradients.addLater(input, more)
    else gradients.set(input, added(run, gradients.get(input) ?? more, more, spent))
  }

  /** Returns the entries that these depend on, latest first, so that every use precedes its
   *  source. */
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

/** Returns the entries through which a gradient reaches the wanted tensors, in their order, and
 *  whether it passes a tensor on the way. Tensors that lost their history count as wanted, so that
 *  reaching one throws. */
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

const zeros = (run: Run, like: Tensor) =>
  storedAs(run, like.dtype, run.tensor(new Float32Array(sizeOf(like.shape)), like.shape))
