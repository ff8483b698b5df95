// Chooses which few labels are used: as many of each class, by the seed alone.

import { checkOptions, checkValue, count, describe, having } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { permutation } from './select.ts'

/** Options of `labelSplit`: one of `fraction` and `perClass`. */
export interface LabelSplitOptions {
  /** Share of each class's images, above 0 and at most 1. A class gives at least one. */
  readonly fraction?: number
  /** Images of each class. */
  readonly perClass?: number
  /** Seed that chooses the images; 0 by default. */
  readonly seed?: number
}

/** Images whose labels are used, and the rest. */
export interface LabelSplit {
  /** Indices of the chosen images, ascending. */
  readonly chosen: Uint32Array<ArrayBuffer>
  /** Indices of the other labelled images, ascending. */
  readonly others: Uint32Array<ArrayBuffer>
}

const isShare = (v: unknown) => typeof v === 'number' && v > 0 && v <= 1
const rules = {
  fraction: { words: 'a number above 0 and at most 1', fits: isShare },
  perClass: count,
  seed: seedRule,
}

/** Chooses images by their labels [N], whole numbers; -1 is an image without a label, which is
 *  never chosen. The same seed chooses the same images, and of a class a smaller split is part of
 *  every larger one. Throws TypeError for wrong options, RangeError for labels that are no classes,
 *  without any label, and for a class of fewer than `perClass` images. */
export function labelSplit(labels: IndexList, options: LabelSplitOptions): LabelSplit {
  checkValue('labelSplit', 'labels', labels, having('an array of classes', 'length'))
  const given = checkOptions('labelSplit', options ?? {}, rules)
  const { fraction, perClass, seed = 0 } = given
  if ((fraction === undefined) === (perClass === undefined))
    throw new TypeError(
      `labelSplit: give fraction or perClass, one of them, got ${describe(fraction)} and ${describe(perClass)}`,
    )
  const [chosen, others]: [number[], number[]] = [[], []]
  for (const [label, own] of classesOf(labels)) {
    const n = perClass ?? Math.max(1, Math.round((fraction ?? 1) * own.length))
    if (n > own.length)
      throw new RangeError(
        `labelSplit: perClass must be at most the images of each class, got ${n} and class ${label} has ${own.length}`,
      )
    const order = permutation(own.length, [seed, STREAM + label])
    for (const [place, at] of order.entries()) (place < n ? chosen : others).push(own[at] ?? 0)
  }
  return { chosen: ascending(chosen), others: ascending(others) }
}

const STREAM = 0x1abe1000 // plus the class: keeps these draws apart from other uses of the seed

const ascending = (indices: readonly number[]) => Uint32Array.from(indices).sort()

/** Returns the indices of each class's images, in the order of the classes. */
function classesOf(labels: IndexList): [label: number, own: number[]][] {
  const groups = new Map<number, number[]>()
  for (const [i, label] of Array.from(flatNumbers('labelSplit: labels', labels)).entries()) {
    if (!(Number.isInteger(label) && label >= -1 && label < 2 ** 16))
      throw new RangeError(
        `labelSplit: labels must be whole numbers from -1 to 65535, got ${label} at ${i}`,
      )
    if (label < 0) continue
    const own = groups.get(label)
    if (own) own.push(i)
    else groups.set(label, [i])
  }
  if (groups.size === 0)
    throw new RangeError(
      `labelSplit: there must be a label from 0 on, got none in ${labels.length}; name labelled images`,
    )
  return [...groups].sort(([a], [b]) => a - b)
}
