// The tape: which op made each tensor. A tensor refers to the entry that made it. So a graph that
// nobody holds is collected like any other object, and a backward pass visits only what its output
// was computed from.

import { type Run, type Tensor, show, sizeOf } from '../kernels/op.ts'
import { Pending } from '../kernels/pending.ts'
import { accumulate } from '../kernels/optim/accumulate.ts'
import { storedAs } from '../kernels/wgsl/storage.ts'
import type { GradientReleaser } from './gradient-releaser.ts'
import { type GradientParts, Gradients } from './optim/gradients.ts'
import { scaleMovesOf } from './optim/scale-moves.ts'

type Cotangents = readonly (Tensor | null)[]

interface Entry {
  readonly order: number
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly pullback: (
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    needs: readonly boolean[],
    addend: Tensor | null,
  ) => Cotangents
  /** Whether the gradient of the first output may come in two addends, and pending. */
  readonly takesParts: boolean
}

/** The options of a backward pass. */
interface PassOptions {
  /** Tensors to compute the gradients of; null computes all. */
  readonly of: ReadonlySet<Tensor> | null
  readonly releaser: GradientReleaser | null
}

/** Knows how each tensor was computed, and walks back from an output. */
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
    this.record({ inputs: [], outputs: [output], pullback, takesParts: false })
  }

  /** Runs `body` without recording: nothing computed inside carries a gradient. */
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
   *  from, or, with `of`, to those tensors alone, visiting only the entries that lead there. With a
   *  `releaser`, frees the gradients of computed tensors once they are used, unless `of` names
   *  them; leaf gradients may then still be in two parts. */
  backward(
    run: Run,
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    { of, releaser }: PassOptions,
  ): Gradients {
    const gradients = new Map<Tensor, GradientParts>()
    for (const [output, cotangent] of weighted) {
      const sum = total(run, gradients.get(output))
      gradients.set(output, [sum ? accumulate(run, sum, cotangent) : cotangent])
    }
    const history = this.#history(weighted.map(([output]) => output))
    const given = weighted.map(([, cotangent]) => cotangent)
    releaser?.pin([...given, ...history.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])])
    const { entries, needs } = leading(history, of)
    for (const entry of entries) {
      const [main, ...rest] = entry.outputs
      if (!main) continue
      const parts = gradients.get(main)
      const [first = null, addend = null] = entry.takesParts ? (parts ?? []) : [total(run, parts)]
      const others = rest.map((o) => total(run, gradients.get(o)))
      if (!first && others.every((g) => g === null)) continue
      const needed = entry.inputs.map(needs)
      const made = entry.pullback([first ?? zeros(run, main), ...others], needed, addend)
      for (const gradient of made) if (gradient) releaser?.retain(gradient)
      for (const [i, input] of entry.inputs.entries()) {
        const more = made[i]
        if (more && needed[i]) this.#add(run, gradients, { input, more }, releaser)
        else if (more) releaser?.release(more)
      }
      if (parts && (!releaser || of?.has(main))) gradients.set(main, ready(parts, releaser)) // stays
      if (releaser) freeUsed(entry, gradients, { of, releaser })
    }
    const pairs = [...gradients].filter(([tensor]) => !of || of.has(tensor))
    return new Gradients(
      pairs.map(([tensor, parts]) => [tensor, ...ready(parts, releaser)]),
      { scaleMoves: scaleMovesOf(given) },
    )
  }

  #add(
    run: Run,
    gradients: Map<Tensor, GradientParts>,
    { input, more }: { readonly input: Tensor; readonly more: Tensor },
    releaser: GradientReleaser | null,
  ) {
    const before = gradients.get(input)
    const sum = total(run, before && ready(before, releaser))
    const maker = this.#makers.get(input)
    const isLeaf = releaser && !maker // nothing reads its gradient before the pass has ended
    const takesParts = maker?.takesParts && maker.outputs[0] === input
    const next = takesParts ? more : computed(more, releaser)
    if (!sum) gradients.set(input, [next])
    else if ((isLeaf || takesParts) && sum.shape.join() === next.shape.join())
      gradients.set(input, next instanceof Pending ? [next, sum] : [sum, next])
    else gradients.set(input, [added(run, sum, computed(next, releaser), releaser)])
  }

  /** Returns the entries that these depend on, latest first, so that every use precedes its
   *  source. */
  #history(outputs: readonly Tensor[]): Entry[] {
    const entries = new Set<Entry>()
    const open = [...outputs]
    for (let tensor = open.pop(); tensor; tensor = open.pop()) {
      const entry = this.#makers.get(tensor)
      if (!entry || entries.has(entry)) continue
      entries.add(entry)
      open.push(...entry.inputs)
    }
    return [...entries].sort((a, b) => b.order - a.order)
  }
}

/** Returns the entries through which a gradient reaches the tensors `of`, in the order given, and a
 *  function that tells whether a tensor lies on the way. Tensors that lost their history count as
 *  members of `of`, so that reaching one throws. */
function leading(history: readonly Entry[], of: ReadonlySet<Tensor> | null) {
  if (!of) return { entries: history, needs: () => true }
  const reached = new Set(of)
  const entries = new Set<Entry>()
  for (const entry of [...history].reverse()) {
    if (entry.inputs.length > 0 && !entry.inputs.some((input) => reached.has(input))) continue
    entries.add(entry)
    for (const output of entry.outputs) reached.add(output)
  }
  const needs = (tensor: Tensor) => reached.has(tensor)
  return { entries: history.filter((entry) => entries.has(entry)), needs }
}

/** Frees the gradients of an entry's outputs, unless they are in `of`. */
function freeUsed(
  { outputs }: Entry,
  gradients: Map<Tensor, GradientParts>,
  { of, releaser }: { of: ReadonlySet<Tensor> | null; releaser: GradientReleaser },
) {
  for (const output of outputs) {
    if (of?.has(output)) continue
    for (const part of gradients.get(output) ?? []) releaser.release(part)
    gradients.delete(output)
  }
}

/** Computes a gradient if it is pending. */
function computed(gradient: Tensor, releaser: GradientReleaser | null): Tensor {
  if (!(gradient instanceof Pending)) return gradient
  const result = gradient.compute()
  releaser?.retain(result)
  releaser?.release(gradient)
  return result
}

function ready([first, second]: GradientParts, releaser: GradientReleaser | null): GradientParts {
  return second ? [computed(first, releaser), second] : [computed(first, releaser)]
}

/** Adds up the parts of a gradient. */
function total(run: Run, parts: GradientParts | undefined): Tensor | null {
  if (!parts) return null
  const [first, second] = parts
  return second ? accumulate(run, first, second) : first
}

function added(run: Run, sum: Tensor, more: Tensor, releaser: GradientReleaser | null): Tensor {
  const result = accumulate(run, sum, more)
  releaser?.retain(result)
  releaser?.release(sum)
  releaser?.release(more)
  return result
}

const zeros = (run: Run, like: Tensor) =>
  storedAs(run, like.dtype, run.tensor(new Float32Array(sizeOf(like.shape)), like.shape))
