// The losses of two views that SimCLR can train, by the names of the command line.

import { dcl, dclw } from '../kernels/loss/dcl.ts'
import { ntXent } from '../kernels/loss/ntxent.ts'
import { sigLip } from '../kernels/loss/siglip.ts'
import { supCon } from '../kernels/loss/supcon.ts'
import type { Scalar, Tensor, Variable } from '../kernels/op.ts'
import type { LossScale } from '../models/loss-scale.ts'

/** The inputs of a loss beside the embeddings. */
export interface LossInputs {
  readonly temperature: Scalar | Variable
  /** The class of each image, i32 [N], for a loss that needs labels. */
  readonly labels?: Tensor | undefined
  /** For a loss that learns its scale and bias. */
  readonly scale?: LossScale | undefined
}

/** A loss of two views of N images. */
export interface ContrastiveLoss {
  /** Computes the loss [] of embeddings z1, z2 [N, D], whose rows n are views of image n. */
  readonly of: (z1: Tensor, z2: Tensor, given: LossInputs) => Tensor
  /** True where each step takes the batch's labels. */
  readonly needsLabels?: boolean
  /** True where the loss learns a scale and a bias, instead of the temperature. */
  readonly learnsScale?: boolean
}

export type ContrastiveLossName = 'nt-xent' | 'dcl' | 'dclw' | 'sup-con' | 'sig-lip'

/** NT-Xent. By itself, so that a page that trains with it carries no other loss. */
export const ntXentLoss: ContrastiveLoss = {
  of: (z1, z2, { temperature }) => ntXent(z1, z2, temperature),
}

/** Each loss: how it is computed, and what it needs beside the embeddings. */
export const contrastiveLosses: Readonly<Record<ContrastiveLossName, ContrastiveLoss>> = {
  'nt-xent': ntXentLoss,
  dcl: { of: (z1, z2, { temperature }) => dcl(z1, z2, temperature) },
  dclw: {
    of(z1, z2, { temperature }) {
      if (typeof temperature === 'object')
        throw new TypeError('dclw: takes no temperature that learns; give a number or a function')
      return dclw(z1, z2, temperature)
    },
  },
  'sup-con': {
    needsLabels: true,
    of: (z1, z2, { labels, temperature }) =>
      supCon(z1, z2, given('sup-con', 'labels', labels), temperature),
  },
  'sig-lip': {
    learnsScale: true,
    of(z1, z2, { scale }) {
      const { logScale, bias } = given('sig-lip', 'scale', scale)
      return sigLip(z1, z2, logScale, bias)
    },
  },
}

/** The input of a loss. Throws TypeError where a caller has left it out. */
function given<T>(loss: ContrastiveLossName, name: keyof LossInputs, value?: T): T {
  if (value === undefined) throw new TypeError(`${loss}: ${name} is missing`)
  return value
}
