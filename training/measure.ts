// Measures kNN accuracy, a linear probe and collapse during a training, prints them, and finds the
// best accuracy.

import { describe } from '../kernels/options.ts'
import type { Model } from '../models/model.ts'
import { digestsIn } from './fingerprint.ts'
import type { FeatureAccuracy } from './knn.ts'
import { type Metric, comparable, lastMeasured } from './metrics.ts'
import type { Progress } from './progress.ts'
import { type Evaluate, type Prepared, measuredModel } from './prepare.ts'
import { type OnSphere, collapseWarning, isCollapsed, untrainedSpread } from './sphere.ts'
import type { Checkpoint, TrainingStorage } from './storage.ts'

type Measurable = Pick<Prepared, 'config' | 'meter' | 'probe' | 'stepsPerEpoch' | 'trainer'> & {
  readonly evaluate?: Evaluate | undefined
}

/** Measures a training, and writes the accuracies to the metrics. */
export class Measure {
  readonly #prepared: Measurable
  readonly #storage: TrainingStorage
  readonly #progress: Progress
  readonly #signal: AbortSignal | undefined
  #best = -Infinity
  #collapsed = false // at the last measurement

  /** An aborted `signal` ends a measurement with its reason; nothing is written then. */
  constructor(
    prepared: Measurable,
    storage: TrainingStorage,
    progress: Progress,
    signal?: AbortSignal,
  ) {
    this.#prepared = prepared
    this.#storage = storage
    this.#progress = progress
    this.#signal = signal
  }

  /** Reads the best accuracy before the checkpoint. `now` is the digest of the present
   *  measurements. Earlier accuracies under another digest do not count, and a note says so. */
  async resume({ step, metadata }: Checkpoint, now: string) {
    const { name } = this.#storage
    const metrics = await this.#storage.metrics()
    const was = lastMeasured(metrics) ?? digestsIn(metadata).measured
    if (was === undefined)
      this.#progress.note(
        `${name}: its checkpoint of step ${step} was saved by an older version, which kept no ` +
          'digest of labels, test images and ' +
          `${metadata['images'] === undefined ? '' : 'more than 32 '}training images: ` +
          'whether those have changed cannot be said',
      )
    else if (was !== now) {
      const change = { step, changed: { measured: { from: was, to: now } } }
      this.#progress.note(
        `${name}: labels, names of classes, test images or the settings of kNN have changed since ` +
          'they were last measured: accuracies from here on are not compared with earlier ones',
        change,
      )
      await this.#storage.append(change)
    }
    for (const { knn } of comparable(await this.#storage.metrics()))
      this.#best = Math.max(this.#best, knn ?? -Infinity)
  }

  /** Measures raw pixels and the untrained encoder. */
  async begin() {
    const { config, meter, probe, trainer } = this.#prepared
    const model = measuredModel(config, trainer)
    if (!probe)
      this.#progress.note('kNN accuracy is not measured: the set has no labels, or no test images')
    else this.#progress.note('measuring kNN before training')
    const signal = this.#signal
    const measured = probe && {
      pixels: await probe.ofPixels(signal),
      ...(await this.#accuracy(model)),
    }
    const { knn: untrained, probe: untrainedProbe, ...pixels } = measured ?? {}
    const accuracies = {
      ...pixels,
      ...(untrained !== undefined && { untrained }),
      ...(untrainedProbe !== undefined && { untrainedProbe }),
    }
    await this.#log({ step: 0, epoch: 0, ...accuracies, ...(await meter.of(model, signal)) })
  }

  /** Tells whether to measure at the end of an epoch, counted from 1. */
  isDue(epoch: number): boolean {
    const { epochs, knn } = this.#prepared.config
    return epoch === epochs || (knn.every > 0 && epoch % knn.every === 0)
  }

  /** Measures accuracy at the end of an epoch if it is due. Resolves to true if it is the best so
   *  far. */
  async at(epoch: number): Promise<boolean> {
    const { config, meter, probe, trainer, evaluate } = this.#prepared
    if (!this.isDue(epoch)) return false
    const { encoder, head, state } = trainer
    const [at, signal] = [{ step: state.step, epoch }, this.#signal]
    const others = evaluate
      ? checkedNumbers(await evaluate({ ...at, encoder, head, ...(signal && { signal }) }))
      : null
    const model = measuredModel(config, trainer)
    const accuracy = probe && (await this.#accuracy(model))
    const onSphere = await meter.of(model, signal)
    const told = accuracy ?? (others ? { evaluated: true } : {})
    await this.#log({ ...others, ...at, ...told, ...onSphere })
    await this.#warn(onSphere)
    if (!accuracy) return false
    const { knn } = accuracy
    const best = knn > this.#best
    this.#best = Math.max(knn, this.#best)
    return best
  }

  /** Measures a model by kNN, and by a linear probe if the configuration says so. */
  async #accuracy(model: Model): Promise<FeatureAccuracy> {
    const { config, probe } = this.#prepared
    if (!probe) throw new Error('there are no labels to measure with')
    if (config.knn.probe) return probe.ofProbes(model, this.#signal)
    return { knn: await probe.ofEncoder(model, this.#signal) }
  }

  /** Makes up for a missing measurement at the checkpoint's epoch: of a run whose --epochs now ends
   *  there, or whose measurement failed. Resolves like `at`. */
  async missed(): Promise<boolean> {
    const { stepsPerEpoch, trainer } = this.#prepared
    const { step } = trainer.state
    if (step === 0 || step % stepsPerEpoch !== 0) return false
    const known = comparable(await this.#storage.metrics())
    const isMade = ({ knn, spread, evaluated }: Metric) =>
      knn !== undefined || spread !== undefined || evaluated === true
    const isKnown = known.some((metric) => metric.step === step && isMade(metric))
    return isKnown ? false : this.at(step / stepsPerEpoch)
  }

  /** Writes and prints a metric. */
  async #log(metric: Metric) {
    await this.#storage.append(metric)
    const percent = (value: number | undefined) => `${(value ?? NaN).toFixed(1)}%`
    const { epoch, knn, pixels, spread, untrained } = metric
    const linear = metric.probe ?? metric.untrainedProbe
    const probed = linear === undefined ? '' : `, linear probe: ${percent(linear)}`
    const words =
      pixels !== undefined
        ? `before training, kNN top-1: raw pixels ${percent(pixels)}, untrained ` +
          `encoder ${percent(untrained)}${probed}`
        : knn !== undefined
          ? `epoch ${epoch}, kNN top-1: ${percent(knn)}${probed}`
          : `epoch ${epoch}, spread of the features: ${(spread ?? NaN).toFixed(3)} of an even one`
    this.#progress.note(words, metric)
  }

  /** Prints a warning when features collapse, once until they have recovered. */
  async #warn({ spread }: OnSphere) {
    const collapsed = isCollapsed(spread, untrainedSpread(await this.#storage.metrics()))
    if (collapsed && !this.#collapsed) this.#progress.note(collapseWarning(spread), { spread })
    this.#collapsed = collapsed
  }
}

/** Names that metrics have already. */
const TAKEN = [
  ...['step', 'epoch', 'loss', 'terms', 'lr', 'skipped', 'changed', 'evaluated'],
  ...['knn', 'untrained', 'pixels', 'probe', 'untrainedProbe'],
  ...['spread', 'alignment', 'uniformity'],
]

/** Returns the numbers of the user's `evaluate`. Throws TypeError for anything else, and for a name
 *  that metrics have already. */
function checkedNumbers(given: unknown): Readonly<Record<string, number>> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new TypeError(
      `evaluate: must resolve to numbers by name, as in { accuracy: 71 }, got ${describe(given)}`,
    )
  for (const [name, value] of Object.entries(given)) {
    if (TAKEN.includes(name))
      throw new TypeError(`evaluate: ${name} is a metric of every training; choose another name`)
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw new TypeError(`evaluate: ${name} must be a finite number, got ${describe(value)}`)
  }
  return given as Readonly<Record<string, number>> // checked above
}
