// Amounts of labels on the command line: 10% of each class, or 20 images of each class.

import { InvalidArgumentError } from 'commander'
import type { LabelSplitOptions } from '../data/label-split.ts'

/** An amount of labels: a share, or a number of images, of each class. */
export type LabelPart = Pick<LabelSplitOptions, 'fraction' | 'perClass'>

const RULE = 'a share as in 10%, or whole images of each class as in 20'

/** Reads one amount of labels. Throws InvalidArgumentError with the rule. */
export function readLabelPart(text: string): LabelPart {
  const word = text.trim()
  const value = Number(word.replace(/%$/, ''))
  if (/^[\d.]+%$/.test(word) && value > 0 && value <= 100) return { fraction: value / 100 }
  if (/^\d+$/.test(word) && value >= 1) return { perClass: value }
  throw new InvalidArgumentError(`must be ${RULE}`)
}

/** Reads several amounts, separated by commas. */
export function readLabelParts(text: string): LabelPart[] {
  const parts = text.split(',').map(readLabelPart)
  return parts.filter((part, i) => parts.findIndex((p) => partName(p) === partName(part)) === i)
}

/** Writes an amount as it is typed: '10%' or '20'. */
export const partName = ({ fraction, perClass }: LabelPart): string =>
  fraction === undefined ? String(perClass) : `${Number((100 * fraction).toPrecision(10))}%`
