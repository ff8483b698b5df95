// The options of the layers that `Builder` makes, and the rules for what it is given.

import type { WindowOptions } from '../kernels/conv/conv2d.ts'
import { type Rules, anything, count, flag, oneOf, rule, text } from '../kernels/options.ts'
import type { Filling } from './conv-weights.ts'
import { initRule } from './initial.ts'
import type { Sides } from './window-sizes.ts'

export interface LayerWindow {
  /** Side of the kernel, or [rows, columns]; 3 by default. */
  readonly size?: number | Sides
  readonly stride?: number | Sides
}

export interface Filters extends Filling, WindowOptions {}

export interface NormScaling {
  readonly zero?: boolean
  readonly scale?: boolean
  readonly shift?: boolean
}

export interface Affine {
  readonly bias?: boolean
  readonly std?: number
}

/** The error for a second layer of a name. */
export const usedTwice = (name: string) =>
  new Error(
    `Builder: the name ${name} is used twice, which would lose the first layer's parameters; give each layer a name of its own`,
  )

export const twoNames = rule(
  'two names, of the convolution and of its norm',
  (v) => Array.isArray(v) && v.length === 2 && v.every(text.fits),
)
export const windowRules = { size: anything, stride: anything }
export const fillingRules: Rules<Filling> = {
  size: anything,
  groups: count,
  bias: flag,
  init: initRule,
}
export const filterRules: Rules<Filters> = {
  ...windowRules,
  ...{ padding: anything, padMode: oneOf('zeros', 'reflect') },
  ...{ groups: count, bias: flag, init: initRule },
}
