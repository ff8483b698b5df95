// How an encoder's features lie on the unit sphere, measured without labels: how far they spread,
// how near the two views of an image are (alignment), and how evenly all lie (uniformity).

import type { Dataset, Split } from '../data/dataset.ts'
import { subset } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import { embed } from '../evaluate/embed.ts'
import { spreadOfUnitRows } from '../evaluate/measure/spectrum.ts'
import type { Embeddings } from '../evaluate/slabs.ts'
import { augment } from '../kernels/augment/augment.ts'
import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { alignment } from '../kernels/loss/alignment.ts'
import { uniformity } from '../kernels/loss/uniformity.ts'
import type { Tensor } from '../kernels/op.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { batchesInOrder } from './knn.ts'
import type { Metric } from './metrics.ts'
import type { TrainConfig } from './run-schema.ts'

const MOST = 256 // images
const SEED = 0 // of the choice of images and of the views, the same for every run

/** Where features lie on the unit sphere. */
export interface OnSphere {
  /** Mean over D of the standard deviation of unit features, times sqrt(D): the collapse meter. 1
   *  when they spread evenly, 0 when all are one direction. */
  readonly spread: number
  /** Mean squared distance between the unit features of two views of an image, from 0 to 4. */
  readonly alignment: number
  /** Wang and Isola's uniformity: 0 when all are one direction, negative when they spread. */
  readonly uniformity: number
}

/** Measures an encoder on up to 256 test images, or training images where there are no test
 *  images. */
export class SphereMeter {
  readonly images: Dataset
  readonly #gpu: Gpu
  readonly #views: TrainConfig['views']

  constructor(gpu: Gpu, { views }: Pick<TrainConfig, 'views'>, { train, test }: Split) {
    this.#gpu = gpu
    this.#views = views
    this.images = subset(test.size > 1 ? test : train, MOST, SEED)
  }

  /** Measures the features h of a model in eval mode: spread and uniformity under the test
   *  transform, alignment of two views by the run's recipes. Rejects with the signal's reason when
   *  it is aborted. */
  async of(model: Model, signal?: AbortSignal): Promise<OnSphere> {
    const [first, second] = [recipeOf(this.#views, 0), recipeOf(this.#views, 1)]
    const tested = await this.#embed(model, testTransform(first), { view: 0, signal })
    const one = await this.#embed(model, first, { view: 0, signal })
    const two = await this.#embed(model, second, { view: 1, signal })
    const gpu = this.#gpu
    const onGpu = ({ features, M, D }: Embeddings) => gpu.tensor(features, [M, D])
    const read = async (of: () => Tensor) =>
      (await gpu.read(gpu.step(() => gpu.noGrad(of))))[0] ?? NaN
    return {
      spread: spreadOfUnitRows(tested) * Math.sqrt(tested.D),
      alignment: await read(() => alignment(onGpu(one), onGpu(two))),
      uniformity: await read(() => uniformity(onGpu(tested))),
    }
  }

  #embed(
    model: Model,
    recipe: Recipe,
    { view, signal }: { readonly view: number; readonly signal: AbortSignal | undefined },
  ): Promise<Embeddings> {
    const { height, width, channels } = this.images.image
    const image = [height, width, channels] as const
    let offset = 0
    const encode = (images: Tensor) => {
      const views = augment(images, recipe, { seed: SEED, step: 0, view, offset })
      offset += images.shape[0] ?? 0
      return model.forward(views, { training: false })
    }
    return embed(this.#gpu, encode, batchesInOrder(this.images), image, signal ? { signal } : {})
  }
}

const LITTLE = 0.1 // of an even spread
const LESS = 0.5 // of the untrained encoder's spread

/** Tells whether features have collapsed: their spread is below a tenth of an even one, and below
 *  half of the untrained encoder's, which may be small too. `untrained` is null where it was not
 *  measured. */
export const isCollapsed = (spread: number, untrained: number | null): boolean =>
  spread < LITTLE && (untrained === null || spread < LESS * untrained)

/** Returns the spread of the untrained encoder's features, null where it was not measured. */
export function untrainedSpread(metrics: readonly Metric[]): number | null {
  const first = metrics.find(({ spread }) => spread !== undefined)
  return first?.step === 0 ? (first.spread ?? null) : null
}

/** The warning for collapsed features. */
export const collapseWarning = (spread: number): string =>
  `warning: the features collapse: they spread over ${(100 * spread).toFixed(1)}% of what even ` +
  'features would, so that all images look alike; a lower learning rate, more negatives or a ' +
  'higher temperature may help'
