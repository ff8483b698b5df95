// Trains beside a page: in small submits, one or two steps ahead of what the loop has seen.

import { type Abortable, abortable, unlessAborted, untilAborted } from '../kernels/abort.ts'
import { type Tensor, ShapeError, show, sizeOf } from '../kernels/op.ts'
import { callback, checkOptions, checkTensor, checkValue, count, rule } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { commonRules } from '../engine/gpu-rules.ts'
import { checkGpu } from '../models/model.ts'

/** Options of `trainInBackground`. */
export interface BackgroundOptions extends Abortable {
  /** `Gpu.budget` while the loop runs: most milliseconds of a submit. The Gpu's own by default, or
   *  8, half a frame. Null submits whole steps. */
  readonly budget?: number | null
  /** How many steps are on their way at a time; 2 by default, so that the GPU never waits. */
  readonly ahead?: number
}

const BUDGET = 8 // ms

const rules = { ...abortable, budget: commonRules.budget, ahead: count }

const iterable = rule(
  'an iterable of batches, such as batches(set, { batch, seed, epoch })',
  (v) => typeof v === 'object' && v !== null && (Symbol.asyncIterator in v || Symbol.iterator in v),
)

/** Makes a step on each batch and yields its loss, in order; of several numbers the first. A step
 *  is submitted in pieces (`Gpu.budget`), and the event loop has its turns between steps, so a page
 *  goes on drawing and answering. The losses are those of a plain loop, bit for bit. When the loop
 *  ends, by `break`, an error or the signal, the steps that were begun are finished first, and the
 *  Gpu's budget is what it was. Of several loops on one Gpu the smallest budget holds, until the
 *  last has ended. Rejects with the signal's reason when it is aborted. Throws TypeError for wrong
 *  arguments, ShapeError where step returns no number, and what `step`, `batches` and `Gpu.read`
 *  throw. */
export function trainInBackground<Batch>(
  gpu: Gpu,
  step: (batch: Batch) => Tensor,
  batches: AsyncIterable<Batch> | Iterable<Batch>,
  options: BackgroundOptions = {},
): AsyncGenerator<number, void, undefined> {
  const owner = 'trainInBackground'
  checkGpu(owner, gpu)
  checkValue(owner, 'step', step, { ...callback, words: 'a function, as learner.step is' })
  checkValue(owner, 'batches', batches, iterable)
  const { budget = gpu.budget ?? BUDGET, ahead = 2, signal } = checkOptions(owner, options, rules)
  return inBackground(gpu, losses(), { budget, ahead, signal })

  async function* losses() {
    for await (const batch of untilAborted(signal, batches)) {
      const loss = step(batch)
      checkTensor(owner, 'what step returns', loss)
      if (sizeOf(loss.shape) === 0)
        throw new ShapeError(
          `${owner}: what step returns must hold a number, such as a loss [], got ${show(loss.shape)}`,
        )
      yield { number: gpu.read(loss).then(([first = NaN]) => first) }
    }
  }
}

interface Settings {
  readonly budget: number | null
  readonly ahead: number
  readonly signal: AbortSignal | undefined
}

/** Yields the numbers in order, `ahead` of them on their way. */
async function* inBackground(
  gpu: Gpu,
  losses: AsyncIterable<{ readonly number: Promise<number> }>,
  { budget, ahead, signal }: Settings,
) {
  const begun: Promise<number>[] = []
  const next = () => unlessAborted(signal, begun.shift() ?? Promise.resolve(NaN))
  const end = holdBudget(gpu, budget)
  try {
    for await (const { number } of losses) {
      number.catch(() => {}) // its turn comes below, unless another error comes first
      begun.push(number)
      if (begun.length >= ahead) yield await next()
    }
    while (begun.length > 0) yield await next()
  } finally {
    const isAlive = await gpu.sync().then(
      () => true,
      () => false, // who reads next is told
    )
    end(isAlive)
  }
}

/** The budgets of the loops that run on a Gpu, and its own before them. */
interface Held {
  readonly before: number | null
  readonly budgets: (number | null)[]
}

const held = new WeakMap<Gpu, Held>()

/** Sets a Gpu's budget to the smallest of its loops. Returns a function that ends this loop's: the
 *  last one's gives the Gpu its own back, if it is alive. */
function holdBudget(gpu: Gpu, budget: number | null): (isAlive: boolean) => void {
  const { before, budgets } = held.get(gpu) ?? { before: gpu.budget, budgets: [] }
  held.set(gpu, { before, budgets })
  budgets.push(budget)
  gpu.budget = smallest(budgets)
  return (isAlive) => {
    budgets.splice(budgets.indexOf(budget), 1)
    if (budgets.length === 0) held.delete(gpu)
    if (isAlive) gpu.budget = budgets.length === 0 ? before : smallest(budgets)
  }
}

const smallest = (budgets: readonly (number | null)[]): number | null => {
  const least = Math.min(...budgets.map((ms) => ms ?? Infinity))
  return least === Infinity ? null : least
}
