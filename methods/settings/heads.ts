// The heads of the settings, with their rules.

import * as v from 'valibot'
import type { Gpu } from '../../engine/gpu.ts'
import { projectionHead } from '../../models/heads.ts'
import type { Model } from '../../models/model.ts'
import { mocoHead, mocoV3Head } from '../../models/moco-heads.ts'
import { fields, wordOf, integer } from './rules.ts'

/** Most features of a head or of AMDIM's maps. A layer has their square in weights. */
export const MOST_FEATURES = 16_384

/** SimCLR's head, in one of two styles (see `projectionHead`). */
export interface ProjectionHead {
  readonly style: 'leftthomas' | 'paper'
  readonly hidden: number
  readonly dim: number
}

/** MoCo's head: v1's linear layer or v2's perceptron. */
export interface MocoHead {
  readonly style: 'linear' | 'mlp'
  readonly dim: number
}

/** MoCo v3's projector. */
export interface Projector {
  readonly style: 'v3'
  readonly hidden: number
  readonly dim: number
}

export type HeadSettings = ProjectionHead | MocoHead | Projector

/** The rule of a number of features. */
export const features = integer(1, MOST_FEATURES)

export const projectionHeadRule = fields({
  style: wordOf('leftthomas', 'paper'),
  hidden: features,
  dim: features,
})

export const mocoHeadRule = fields({ style: wordOf('linear', 'mlp'), dim: features })

export const anyMocoHeadRule = v.variant(
  'style',
  [mocoHeadRule, fields({ style: wordOf('v3'), hidden: features, dim: features })],
  'an object',
)

/** Makes the head of the settings on `count` features, with initial weights. MoCo v3's head is its
 *  projector. */
export function headOf(
  gpu: Gpu,
  { head, seed }: { readonly head: HeadSettings; readonly seed: number },
  count: number,
): Model {
  const { dim } = head
  if (head.style === 'v3')
    return mocoV3Head(gpu, { name: 'projector', widths: [count, head.hidden, dim], seed })
  if (!('hidden' in head))
    return mocoHead(gpu, { features: count, dim, mlp: head.style === 'mlp', seed })
  return projectionHead(gpu, { ...head, features: count, seed })
}
