// The encoders by name, each with its rules and its maker.

import * as v from 'valibot'
import type { Gpu } from '../../engine/gpu.ts'
import type { Model } from '../../models/model.ts'
import { type ResNetOptions, resnet18, resnet34, resnet50, resnet8 } from '../../models/resnet.ts'
import { type ConvNeXtOptions, convNeXtTiny } from '../../models/convnext.ts'
import { type ViTOptions, vitSmall, vitTiny } from '../../models/vit.ts'
import type { Wrong } from './batch.ts'
import { belowOne, bool, integer, wordOf } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Most channels of an encoder's first stage. ResNet's last stage has 32 times as many. */
export const MOST_CHANNELS = 2048

/** Settings of an encoder: its name, and those of its row. */
export interface EncoderSettings {
  readonly name: string
  /** Of ResNets. */
  readonly stem?: 'cifar' | 'imagenet'
  readonly width?: number
  readonly zeroInitResidual?: boolean
  /** Of transformers and ConvNeXt: side of a patch in pixels; by default it follows the size. */
  readonly patch?: number
  /** Of the same: probability of dropping a branch of the last block; 0 by default. */
  readonly dropPath?: number
}

/** What an encoder is made for, besides its settings: seed, and side of the images in pixels. */
interface Made {
  readonly seed: number
  readonly size: number
}

/** A row of the table. */
export interface EncoderRow {
  /** Rules of its own settings besides `name`. */
  readonly rules: v.ObjectEntries
  readonly make: (gpu: Gpu, settings: EncoderSettings & Made) => Model
  /** Returns the setting that does not fit images of this size, or null. */
  readonly check?: (settings: EncoderSettings, size: number) => Wrong | null
}

/** The rule of an encoder's width. */
export const widthRule = integer(1, MOST_CHANNELS)

/** Makes an object without the fields that are undefined. */
const given = <T extends object>(options: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T // those fields

const resnet = (make: (gpu: Gpu, options: ResNetOptions) => Model): EncoderRow => ({
  rules: { stem: wordOf('cifar', 'imagenet'), width: widthRule, zeroInitResidual: bool },
  make: (gpu, { stem, width, zeroInitResidual, seed }) =>
    make(gpu, { seed, ...given<ResNetOptions>({ stem, width, zeroInitResidual }) }),
})

/** The side of a patch for images of this size: the largest of 16, 8, 4 and 2 that cuts them into
 *  at least 8 x 8 patches; 1 where there is none. */
export const patchOf = (size: number) =>
  [16, 8, 4, 2].find((patch) => size % patch === 0 && size / patch >= 8) ?? 1

/** The rules of encoders that begin with patches. */
const patchRules = { patch: v.exactOptional(integer(1)), dropPath: v.exactOptional(belowOne) }

const transformer = (make: (gpu: Gpu, options: ViTOptions) => Model): EncoderRow => ({
  rules: patchRules,
  make: (gpu, { patch, dropPath, seed, size }) =>
    make(gpu, { seed, size, patch: patch ?? patchOf(size), ...given<ViTOptions>({ dropPath }) }),
  check: ({ patch = 1 }, size) =>
    size % patch === 0
      ? null
      : {
          setting: 'model.patch',
          reason: `must divide the size of ${size}, got ${patch}; give ${patchOf(size)}`,
        },
})

const STAGES = 8 // by which the stages divide the side of a map

const convNeXtRow: EncoderRow = {
  rules: patchRules,
  make: (gpu, { patch, dropPath, seed, size }) =>
    convNeXtTiny(gpu, {
      seed,
      patch: patch ?? stemOf(size),
      ...given<ConvNeXtOptions>({ dropPath }),
    }),
  check: ({ patch = 1 }, size) =>
    size >= STAGES * patch
      ? null
      : {
          setting: 'model.patch',
          reason: `must be at most an eighth of the size of ${size}, got ${patch}; give ${stemOf(size)}`,
        },
}

/** The side of the stem's patches for images of this size: 4, the paper's, from 128 px on, 2 from
 *  64 px on, else 1. */
const stemOf = (size: number) => (size >= 128 ? 4 : size >= 64 ? 2 : 1)

/** The encoders by name. A new row is a new value of `model.name`. */
export const encoders: Table<EncoderRow> = new Map([
  ['resnet8', resnet(resnet8)],
  ['resnet18', resnet(resnet18)],
  ['resnet34', resnet(resnet34)],
  ['resnet50', resnet(resnet50)],
  ['vit-tiny', transformer(vitTiny)],
  ['vit-small', transformer(vitSmall)],
  ['convnext-tiny', convNeXtRow],
])

/** The rule of an encoder's settings. */
export const encoderFields = rowRule<EncoderSettings>(encoders, {})

/** Makes the encoder of the settings, with initial weights. */
export const encoderOf = (
  gpu: Gpu,
  { model, seed, size }: { readonly model: EncoderSettings } & Made,
): Model => rowOf('model.name', encoders, model.name).make(gpu, { ...model, seed, size })

/** Describes an encoder in words. */
export const describeEncoder = ({ name, width, patch }: EncoderSettings) =>
  `${name}${width === undefined ? '' : ` of width ${width}`}${patch === undefined ? '' : ` of patches of ${patch} px`}`

/** Returns the encoder's setting that does not fit the size of the images, or null. */
export const wrongEncoder = ({
  model,
  size,
}: {
  readonly model: EncoderSettings
  readonly size: number
}): Wrong | null => encoders.get(model.name)?.check?.(model, size) ?? null
