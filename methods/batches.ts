// How methods encode a batch: at once, all of it on the tape, or in chunks, whose gradients are
// cached (gradient-cache.ts).

import type { Tensor } from '../kernels/op.ts'
import { concat } from '../kernels/shape/concat.ts'
import {
  type Rules,
  anything,
  callback,
  checkOptions,
  either,
  flag,
  having,
  needed,
  record,
  rule,
  scheduled,
  whole,
} from '../kernels/options.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import type { BackwardOptions, Gpu } from '../engine/gpu.ts'
import type { Gradients } from '../engine/optim/gradients.ts'
import type { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { type Mode, checkGpu } from '../models/layers.ts'
import type { Parts } from '../models/parts.ts'
import { type Chunk, chunksOf, cutOf } from './chunks.ts'
import { type Encode, type Encoded, GradientCache, encodedBy, first } from './gradient-cache.ts'
import { type ImageBatch, extentsOf, imagesOf, inputsOf } from './image-batch.ts'
import { checkTrained } from './trained.ts'
import { type Views, viewsOf } from './views.ts'

/** What every method is told besides its networks. */
export interface StepOptions {
  /** Learning rate at each step, or the same at all. */
  readonly schedule: Schedule | number
  /** What the optimizer leaves as it is: models, variables, or several by name. Every other
   *  parameter must be the optimizer's. */
  readonly frozen?: Parts | readonly Parts[]
  /** With `chunk` a function is called several times for the same images, and must give the same
   *  each time. */
  readonly views: Views
  /** Images that are encoded at a time, at most, so that a larger batch needs no more memory for
   *  activations; all of them unless given. The gradient stays the whole batch's, save that batch
   *  norm's statistics are those of a chunk. */
  readonly chunk?: number | null
  readonly seed?: number
  /** Whether steps are captured and replayed, with the same bits (the default), or run one by
   *  one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** What the options that all methods have must be. */
export const stepRules = {
  schedule: needed(scheduled),
  views: needed(either(record, either(having('a pair of recipes', '0', '1'), callback))),
  chunk: anything,
  seed: whole,
  capture: flag,
  scaler: having('a LossScaler', 'unscale'),
  frozen: anything,
}

/** What networks and optimizers must be. */
export const model = having('a model such as resnet18(gpu)', 'forward', 'parameters', 'norms')
export const tower = rule('an encoder and a head, { encoder, head }', (v) => {
  const { encoder, head } = Object(v) as Record<string, unknown> // of what is no object, nothing
  return model.fits(encoder) && model.fits(head)
})
export const optimizerRule = having('an optimizer such as Sgd', 'step', 'state')
export const flatOptimizer = having('an optimizer such as Sgd', 'step', 'weights', 'parameters')

/** The options of a method, checked, with schedules as functions. Throws TypeError naming an
 *  option that is unknown, missing or of the wrong kind, and Error where the optimizer lacks
 *  parameters of `trained` that are not said to be frozen. */
export function optionsOf<T extends StepOptions>(
  method: string,
  gpu: Gpu,
  options: T,
  rules: Rules<T>,
  trained: (options: T) => Parts,
): T & { readonly schedule: Schedule } {
  checkGpu(method, gpu)
  const checked = checkOptions(method, options ?? ({} as T), rules) // what is missing is told
  const { optimizer: updates, frozen } = checked as T & { readonly optimizer: Optimizer }
  checkTrained(method, updates, trained(checked), frozen)
  return { ...checked, schedule: scheduleOf(method, 'schedule', checked.schedule) }
}

type View = 0 | 1

/** Embeddings of images x [n, H, W, 3], the first of which has the number `offset` in its batch. */
export type Encoder<Z extends Encoded = Tensor> = (x: Tensor, mode: Mode, offset: number) => Z

/** The images of a step. */
export interface Batch {
  /** The embeddings of a view of all images, of several views one behind the other. */
  readonly encode: <Z extends Encoded>(f: Encoder<Z>, ...views: View[]) => Z
  /** The same with no gradient to them. */
  readonly keys: <Z extends Encoded>(f: Encoder<Z>, ...views: View[]) => Z
  /** The gradient of a loss of embeddings with respect to the optimizer's variables that it
   *  depends on, times `scale`. */
  readonly backward: (loss: Tensor, scale?: Tensor) => Gradients
}

interface BatchesOptions extends Pick<StepOptions, 'views' | 'chunk' | 'seed'> {
  readonly state: { step: number }
  /** Whose parameters the gradients are of; of every variable if there is none. */
  readonly optimizer?: Optimizer
  /** Of batch norm, in each chunk. */
  readonly splits?: number
}

/** How a method takes batches: `inputs` are what its captured step is given, and `open` makes a
 *  Batch of them in the step. Throws RangeError for a chunk that is no count, or smaller than the
 *  splits. */
export function batchesOf(gpu: Gpu, method: string, options: BatchesOptions) {
  const { views, chunk = null, seed = 0, splits = 1, state, optimizer } = options
  const cut = cutOf(method, chunk, splits)
  const aug = viewsOf(gpu, views, { seed, state })
  return {
    inputs: (batch: ImageBatch): (Tensor | Upload)[] => inputsOf(method, batch, cut),
    open(batch: readonly Tensor[]): Batch {
      const chunks = chunksOf(imagesOf(batch), cut, extentsOf(batch))
      const [only, ...others] = chunks
      const of = optimizer?.parameters && Object.values(optimizer.parameters)
      return only && others.length === 0
        ? atOnce(gpu, only, { aug, of })
        : inChunks(gpu, chunks, { aug, of })
    },
  }
}

/** How views are made, and whose gradients are wanted. */
interface Means extends BackwardOptions {
  readonly aug: ReturnType<typeof viewsOf>
}

/** A batch on the tape, each of its views made once. */
function atOnce(gpu: Gpu, { images, extents }: Chunk, { aug, of }: Means): Batch {
  const made = new Map<View, Tensor>()
  const view = (which: View) => {
    const x = made.get(which) ?? aug(images(), which, 0, extents())
    made.set(which, x)
    return x
  }
  const encode: Batch['encode'] = (f, ...views) =>
    f(together(views.map(view)), { ...first, pass: views[0] ?? 0 }, 0)
  return {
    encode,
    keys: (f, ...views) => gpu.noGrad(() => encode(f, ...views)),
    backward: (loss, scale) => gpu.backward(loss, scale, { of }),
  }
}

/** A batch whose chunks are encoded one by one, and their views made again whenever they are. */
function inChunks(gpu: Gpu, chunks: readonly Chunk[], { aug, of }: Means): Batch {
  const cache = new GradientCache(gpu)
  const parts = <Z extends Encoded>(f: Encoder<Z>, views: readonly View[]) =>
    chunks.map(({ images, extents, offset }, i): Encode<Z> => (mode) => {
      const [x, filled] = [images(), extents()]
      const pass = 2 * i + (views[0] ?? 0) // two views of each chunk
      return f(
        together(views.map((which) => aug(x, which, offset, filled))),
        { ...mode, pass },
        offset,
      )
    })
  return {
    encode: (f, ...views) => cache.encode(parts(f, views)),
    keys: (f, ...views) => encodedBy(gpu, parts(f, views)),
    backward: (loss, scale) => cache.backward(loss, scale, { of }),
  }
}

const together = (views: readonly Tensor[]): Tensor => {
  const [only, ...others] = views
  return only && others.length === 0 ? only : concat(views, 0)
}
