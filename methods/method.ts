// The frame of all methods: it checks options, captures the step, goes backward, updates and
// counts. A method's own file is the algorithm of its paper.

import type { Tensor } from '../kernels/op.ts'
import type { Rules } from '../kernels/options.ts'
import type { Captured } from '../engine/capture/capture.ts'
import { countUp } from '../engine/counter.ts'
import type { Gpu } from '../engine/gpu.ts'
import { printsAs } from '../engine/inspect.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { Parts } from '../models/parts.ts'
import { type StepBatch, batchesOf } from './batch.ts'
import type { ImageBatch } from './image-batch.ts'
import { type StepOptions, optionsOf, stepRules } from './step-options.ts'

/** The options of a method: its own, and those that all have. */
export interface MethodOptions extends StepOptions {
  readonly optimizer: Optimizer
}

/** A method at work: its networks and its step. `Told` are the arguments of a step beside the
 *  batch. */
export type Learner<
  Options extends MethodOptions,
  Kept extends object,
  Told extends readonly unknown[] = [],
> = Kept & {
  /** Makes one step on a batch and returns its loss, which lives until the next step ends. */
  readonly step: (batch: ImageBatch, ...told: Told) => Tensor
  /** Compiles the kernels of a step on such a batch, in the background, so that the first step
   *  compiles nothing. Changes no weight and no counter. Throws like `step`. */
  readonly warm: (batch: ImageBatch, ...told: Told) => Promise<void>
  readonly optimizer: Options['optimizer']
  /** The LossScaler of its options, if there is one. */
  readonly scaler?: StepOptions['scaler']
  /** Steps made; set it when resuming. */
  readonly state: { step: number }
  /** Tells whether steps are replayed, and why not. */
  readonly captured: Captured<Tensor[], Tensor>
}

/** A training algorithm, as users call it. */
export type Algorithm<
  Options extends MethodOptions,
  Kept extends object,
  Told extends readonly unknown[] = [],
> = (gpu: Gpu, options: Options) => Learner<Options, Kept, Told>

/** The outcome of a step's forward. */
interface Forward {
  /** The loss [] that the optimizer minimises. */
  readonly loss: Tensor
  /** Makes the result of `step`, at the end of the step; it is the loss unless given. */
  readonly result?: () => Tensor
  /** Runs after the optimizer's update, such as a moving average. */
  readonly after?: () => void
}

/** The forward of a step, from the images and the numbers [N] of `told`, if there are any. */
type Step = (x: StepBatch, ...numbers: Tensor[]) => Forward

/** A method as `begin` makes it. */
interface Begun<Kept, Told extends readonly unknown[]> {
  /** Members that users get beside `step`. */
  readonly keeps: Kept
  readonly step: Step
  /** The first step, where it does more than the others; it is not replayed. */
  readonly first?: Step | null
  /** Returns a whole number for each image, such as its label; null where there are none. */
  readonly told?: ((batch: ImageBatch, ...told: Told) => Int32Array | null) | null
}

/** The device, step number and seed of a method's steps. */
interface Context {
  readonly gpu: Gpu
  /** The number of the step, from 0. */
  readonly t: () => number
  /** The seed of all random draws. */
  readonly seed: number
}

/** A method, as its file defines it. */
interface Definition<Options extends MethodOptions, Kept, Told extends readonly unknown[]> {
  /** The rules of the method's own options. */
  readonly rules: Rules<Omit<Options, keyof StepOptions>>
  /** Returns the networks whose parameters the optimizer must have. */
  readonly trains: (options: Options) => Parts | readonly Parts[]
  readonly begin: (options: Options, context: Context) => Begun<Kept, Told>
}

/** Makes the public function of a method. Its error messages begin with `name`. */
export const method =
  <Options extends MethodOptions, Kept extends object, Told extends readonly unknown[] = []>(
    name: string,
    { rules, trains, begin }: Definition<Options, Kept, Told>,
  ): Algorithm<Options, Kept, Told> =>
  (gpu, given) => {
    const all = { ...rules, ...stepRules } as Rules<Options> // the type checker cannot add up Omit
    const options = optionsOf(name, gpu, given, all, trains)
    const { optimizer, schedule, seed = 0, capture = true, scaler } = options
    const state = { step: 0 }
    const { inputs, open } = batchesOf(gpu, name, { ...options, state })
    const { keeps, step, first, told = null } = begin(options, { gpu, t: () => state.step, seed })

    const update = (x: StepBatch, { loss, result, after }: Forward) => {
      optimizer.step(x.backward(loss, scaler?.scale), () => schedule(state.step), scaler)
      after?.()
      countUp(gpu, state, 'step')
      return result ? result() : loss
    }
    const capturing = (forward: Step, replay: boolean) =>
      gpu.capture(
        (...taken: Tensor[]) => {
          const [numbers, images] = told ? [taken.slice(0, 1), taken.slice(1)] : [[], taken]
          const x = open(images)
          return update(x, forward(x, ...numbers.filter(isNotEmpty)))
        },
        { replay },
      )
    const captured = capturing(step, capture)
    const beginning = first ? capturing(first, false) : captured

    const learner: Learner<Options, Kept, Told> = {
      ...stepping({ captured, beginning, state }, { inputs, told }),
      ...{ ...keeps, optimizer, state, captured, ...(scaler && { scaler }) },
    }
    return printsAs(learner, () => `${name} (step ${state.step}, ${captured.replays} replays)`)
  }

interface Steps {
  readonly captured: Captured<Tensor[], Tensor>
  /** The first step of all: `captured`, unless it does more. */
  readonly beginning: Captured<Tensor[], Tensor>
  readonly state: { readonly step: number }
}

/** Makes `step` and `warm`. */
function stepping<Told extends readonly unknown[]>(
  { captured, beginning, state }: Steps,
  {
    inputs,
    told,
  }: Pick<ReturnType<typeof batchesOf>, 'inputs'> & Pick<Required<Begun<object, Told>>, 'told'>,
): Pick<Learner<MethodOptions, object, Told>, 'step' | 'warm'> {
  const given = (batch: ImageBatch, more: Told) => {
    const images = inputs(batch)
    const numbers = told ? [{ values: told(batch, ...more) ?? new Int32Array(0) }] : []
    return [...numbers, ...images]
  }
  return {
    step: (batch, ...more) => (state.step === 0 ? beginning : captured).run(...given(batch, more)),
    async warm(batch, ...more) {
      const taken = given(batch, more)
      if (state.step === 0 && beginning !== captured) await beginning.warm(...taken)
      await captured.warm(...taken)
    },
  }
}

const isNotEmpty = ({ shape }: Tensor) => shape[0] !== 0
