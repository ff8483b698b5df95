// The subject of kindred eval linear and kindred eval mlp: an encoder, its images and the options.

import type { Dataset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { classifier } from '../evaluate/classify.ts'
import type { LinearProtocolName } from '../evaluate/linear-protocols.ts'
import type { Model } from '../models/model.ts'
import type { GpuFlags } from './gpu-options.ts'
import type { Progress } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'

/** Options of both commands. */
export interface ClassifierFlags extends GpuFlags {
  readonly data?: string
  readonly checkpoint?: string
  readonly protocol?: Protocol
  /** Number of labelled images to train on. */
  readonly subset?: number
  /** File that names the labelled images to train on, one a line. */
  readonly labelled?: string
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly seed?: number
  /** False trains on images under the test transform, not on augmented ones. */
  readonly augment?: boolean
  /** Learning rates to choose from on held-out training images; true for the usual ones. */
  readonly sweep?: readonly number[] | true
  /** True prints how well each class is told, and what the features are like. */
  readonly report?: boolean
  readonly json?: boolean
}

/** Kind of the classifier: a linear layer, or one hidden layer. */
export type ClassifierKind = 'linear' | 'mlp'

/** Protocol of a linear classifier. exact: logistic regression of features, to convergence;
 *  paper: by epochs, as AMDIM's authors do; others: by epochs, as the paper of that name does. */
export type Protocol = 'exact' | 'paper' | LinearProtocolName

/** A frozen encoder with labelled training and test images. */
export interface Subject {
  readonly gpu: Gpu
  readonly kind: ClassifierKind
  readonly protocol: Protocol
  readonly config: TrainConfig
  readonly encoder: Model
  readonly flags: ClassifierFlags
  readonly train: Dataset
  readonly test: Dataset
  readonly progress: Progress
}

/** A training of a classifier by epochs. */
export interface EpochTraining {
  readonly epochs: number
  /** Images per step. */
  readonly batch: number
  /** True leaves an incomplete last batch out. */
  readonly dropLast: boolean
  /** The usual learning rate, or the one that was asked for. */
  readonly lr: number
  /** Makes the classifier at step 0 for a learning rate. */
  readonly begin: (lr: number, stepsPerEpoch: number) => EpochClassifier
}

/** A classifier in training, as `classifier` makes it. */
type EpochClassifier = ReturnType<typeof classifier>
