// The summary of a data set, printed before its use.

import { printable } from '../kernels/printable.ts'
import { counted } from '../data/words.ts'
import type { Dataset, Skipped, Split } from '../data/dataset.ts'
import { isLabelled } from '../data/select.ts'
import { listed } from '../data/listed.ts'
import { UsageError } from '../training/choice.ts'
import type { Progress } from '../training/progress.ts'

const MOST = 10 // classes in the list
const FIRST = 3 // files in the list

/** Returns the files left out of either half, each once. */
export function skippedOf({ train, test }: Split): Skipped[] {
  return [
    ...new Map(
      [...train.skipped, ...test.skipped].map((skipped) => [skipped.file, skipped]),
    ).values(),
  ]
}

/** Throws UsageError with the remedy for a set that has nothing to measure. */
export function checkMeasurable(command: string, source: string, { train, test }: Split) {
  if (isLabelled(train) && isLabelled(test)) return
  const [why, remedy] =
    test.size === 0 && isLabelled(train)
      ? ['no test images', 'give classes 2 images or more each, of which one is tested on']
      : [
          isLabelled(train)
            ? 'no labelled test images'
            : train.labels
              ? 'no labelled training images'
              : 'no labels',
          'put each class into a folder of its own',
        ]
  throw new UsageError(
    `${command}: needs labelled training and test images, and ${source} has ${why}; ${remedy}, ` +
      'or name a labelled set with --data',
  )
}

/** Prints the source, by its `name`, the number of images, the classes and the files left out.
 *  Under --json it is one event. */
export function tellData(data: Split, progress: Progress, name = data.train.name) {
  const { train, test, about } = data
  const skipped = skippedOf(data)
  const { path = null, split = '', notes = [], others = [] } = about ?? {}
  const classes = classCounts(data)
  const where = path === null ? '' : ` ${printable(path)}`
  const lines = [
    `read ${name}${where}: ${train.size} training and ${counted(test.size, 'test image')}${split && ` (${split})`}`,
    classLine(classes),
    ...notes,
    fileLine(others.length, 'left out by extension', listed(others, FIRST)),
    fileLine(
      skipped.length,
      'skipped',
      listed(
        skipped.map(({ file, reason }) => `${file} ${reason}`),
        FIRST,
        '; ',
      ),
    ),
  ]
  progress.note(lines.filter((line) => line !== null).join('\n  '), {
    data: {
      ...{ source: train.name, path, train: train.size, test: test.size, split, notes },
      classes: { count: classes.length, first: classes.slice(0, MOST) },
      others: { count: others.length, first: others.slice(0, FIRST) },
      skipped: { count: skipped.length, first: skipped.slice(0, FIRST) },
    },
    skippedFiles: skipped.length,
  })
}

interface ClassCount {
  readonly name: string
  readonly train: number
  readonly test: number
}

/** Counts the images of each class. */
function classCounts({ train, test }: Split): ClassCount[] {
  const count = ({ labels, classes }: Dataset) => {
    const counts = new Uint32Array(classes.length)
    for (const label of labels ?? []) if (label >= 0) counts[label] = (counts[label] ?? 0) + 1
    return counts
  }
  const [a, b] = [count(train), count(test)]
  return train.classes.map((name, i) => ({ name, train: a[i] ?? 0, test: b[i] ?? 0 }))
}

function classLine(classes: readonly ClassCount[]): string {
  if (classes.length === 0) return 'no labels: nothing can be measured, training needs none'
  const counts = classes.map((one) => `${one.name} ${one.train} + ${one.test}`)
  return (
    `${counted(classes.length, 'class', 'classes')} (training + test images): ` +
    listed(counts, MOST)
  )
}

/** Returns '3 files skipped: a, b, c', or null for none. */
const fileLine = (count: number, what: string, names: string) =>
  count === 0 ? null : `${counted(count, 'file')} ${what}: ${names}`
