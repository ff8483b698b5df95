// The encoders by name, each with its rules and its maker.

import type * as v from 'valibot'
import type { Gpu } from '../../engine/gpu.ts'
import type { Model } from '../../models/model.ts'
import { type ResNetOptions, resnet18, resnet34, resnet50, resnet8 } from '../../models/resnet.ts'
import { bool, wordOf, integer } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Most channels of an encoder's first stage. ResNet's last stage has 32 times as many. */
export const MOST_CHANNELS = 2048

/** Settings of an encoder. */
export interface EncoderSettings {
  readonly name: string
  readonly stem: 'cifar' | 'imagenet'
  readonly width: number
  readonly zeroInitResidual: boolean
}

/** A row of the table. */
export interface EncoderRow {
  /** Rules of its own settings besides `name` and `width`. */
  readonly rules: v.ObjectEntries
  readonly make: (gpu: Gpu, settings: EncoderSettings & { readonly seed: number }) => Model
}

const resnet = (make: (gpu: Gpu, options: ResNetOptions) => Model): EncoderRow => ({
  rules: { stem: wordOf('cifar', 'imagenet'), zeroInitResidual: bool },
  make: (gpu, { stem, width, zeroInitResidual, seed }) =>
    make(gpu, { stem, width, zeroInitResidual, seed }),
})

/** The encoders by name. A new row is a new value of `model.name`. */
export const encoders: Table<EncoderRow> = new Map([
  ['resnet8', resnet(resnet8)],
  ['resnet18', resnet(resnet18)],
  ['resnet34', resnet(resnet34)],
  ['resnet50', resnet(resnet50)],
])

/** The rule of an encoder's settings. */
export const encoderFields = rowRule<EncoderSettings>(encoders, {
  width: integer(1, MOST_CHANNELS),
})

/** Makes the encoder of the settings, with initial weights. */
export const encoderOf = (
  gpu: Gpu,
  { model, seed }: { readonly model: EncoderSettings; readonly seed: number },
): Model => rowOf('model.name', encoders, model.name).make(gpu, { ...model, seed })
