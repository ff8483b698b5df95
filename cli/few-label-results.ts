// The result of each cell of a command: kept from before, or trained now and kept. Ctrl-C says what
// is kept and what begins anew.

import { type LabelSplit, labelSplit } from '../data/label-split.ts'
import type { Dataset } from '../data/dataset.ts'
import { counted } from '../data/words.ts'
import { makeFolder } from '../engine/node-files.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { printable } from '../kernels/printable.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { exists, utf8 } from '../run-folder/run-config.ts'
import { encodeClassifier, openClassifier } from '../run-folder/saved-classifier.ts'
import { UsageError } from '../training/choice.ts'
import { knownLabels } from '../training/knn.ts'
import { sameCommand } from './command.ts'
import { type Cell, type CellResult, amountInWords, cellFile, keptCell } from './few-label-cells.ts'
import { type FewLabels, trainCell } from './few-label-training.ts'
import { partName } from './label-parts.ts'
import { leaveClean, writeTogether } from './see/out-file.ts'

/** A cell, the labels that it uses, and its result if that is kept. */
interface Found {
  readonly cell: Cell
  readonly name: string
  /** The training images whose labels are used. */
  readonly indices: readonly number[]
  /** File that the trained network is kept in too, if any. */
  readonly network: string | null
  readonly kept: CellResult | null
}

/** Names a training, as in 'fine-tuned on 10% of the labels (500), seed 0'. */
export const cellName = ({ arm, part, seed }: Cell, labels: number) =>
  `${arm} on ${amountInWords(partName(part))} (${labels}), seed ${seed}`

/** Returns the results of cells, in order: the kept ones, and those of trainings now. With
 *  `networks` the trained networks are kept too; a result without its network is not kept, and the
 *  caller tells the accuracies. Says what is kept before anything is trained, and at Ctrl-C,
 *  SIGTERM and SIGHUP, which end the process. Throws UsageError for amounts of labels that are not
 *  there, and Error in words. */
export async function resultsOf(
  few: FewLabels,
  out: string,
  cells: readonly Cell[],
  { networks = false }: { readonly networks?: boolean } = {},
): Promise<readonly CellResult[]> {
  const found: Found[] = []
  for (const cell of cells) found.push(await lookedUp(few, out, cell, networks))
  const results = found.map(({ kept }) => kept)
  for (const { name, kept } of found)
    if (kept)
      few.progress.note(
        `${name}: ${networks ? '' : `${kept.accuracy.toFixed(2)}%, `}kept from before`,
      )
  if (results.some((kept) => kept) && !results.every((kept) => kept))
    few.progress.note(`${keptWords(out, results)}; the others are trained now`)
  let current = ''
  leaveClean(() => {
    const words = `${current}${keptWords(out, results)}; go on with: ${sameCommand()}`
    few.progress.note(`stopped: ${words}`, { kept: results.filter((kept) => kept).length })
    few.progress.stop()
  })
  for (const [i, one] of found.entries()) {
    if (one.kept) continue
    current = `${one.name}, begins anew; `
    const result = await trainedNow(few, out, one)
    results[i] = result
    current = ''
    const { arm, labels, seed, accuracy } = result
    if (!networks)
      few.progress.note(`${one.name}: ${accuracy.toFixed(2)}%`, { arm, labels, seed, accuracy })
  }
  return results.filter((result) => result !== null)
}

/** Says how many trainings are kept: '2 of 6 trainings are kept in runs/a/few-labels'. */
function keptWords(out: string, results: readonly (CellResult | null)[]): string {
  const kept = results.filter((result) => result).length
  const verb = kept === 1 ? 'is' : 'are'
  return `${kept} of ${counted(results.length, 'training')} ${verb} kept in ${printable(out)}`
}

/** Chooses a cell's labels and looks for its result. Throws UsageError with the rule of
 *  `labelSplit`, and what `keptCell` throws. */
async function lookedUp(
  few: FewLabels,
  out: string,
  cell: Cell,
  networks: boolean,
): Promise<Found> {
  const indices = Array.from(splitOf(few.train, cell).chosen)
  const network = networks ? cellFile(out, cell, 'safetensors') : null
  const result = await keptCell(out, cell, few.settings)
  const kept = network === null || (result && (await isWhole(few, network))) ? result : null
  return { cell, name: cellName(cell, indices.length), indices, network, kept }
}

/** Chooses the images whose labels are used. Throws UsageError with the rule of `labelSplit`. */
function splitOf(train: Dataset, { part, seed }: Cell): LabelSplit {
  try {
    return labelSplit(knownLabels(train), { ...part, seed })
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const words = cause.message
      .replace(/^labelSplit: perClass/, `--labels: ${partName(part)}`)
      .replace(/class (\d+) has/, (_, label: string) => `class ${train.classes[Number(label)]} has`)
    throw new UsageError(words, { cause })
  }
}

/** Trains a cell, and keeps its result. */
async function trainedNow(few: FewLabels, out: string, one: Found): Promise<CellResult> {
  const { cell, name, indices, network } = one
  const { progress, settings } = few
  const { arm, part, seed } = cell
  if (arm !== 'linear probe' && settings.batch > indices.length)
    progress.note(
      `${name}: batch ${settings.batch} is lowered to its ${counted(indices.length, 'label')}`,
    )
  const { tensors, ...trained } = await trainCell(few, cell, indices)
  const labels = partName(part)
  const result = { arm, labels, seed, settings, ...trained, indices }
  const files: [string, Uint8Array[]][] = [
    [cellFile(out, cell), [utf8(`${JSON.stringify(result)}\n`)]],
  ]
  if (network !== null && tensors) files.unshift([network, [encoded(few, tensors)]])
  await makeFolder(out)
  await writeTogether('--out', files, true)
  return result
}

/** Encodes a trained network. */
function encoded(
  { config, settings, train: { classes } }: FewLabels,
  tensors: ReadonlyMap<string, SavedTensor>,
): Uint8Array {
  const about = { step: String(settings.steps) }
  return encodeClassifier({ config, tensors, classes, about })
}

/** Whether a network is kept and can be opened. Says why not, where there is a file. */
async function isWhole({ progress }: FewLabels, network: string): Promise<boolean> {
  if (!(await exists(network))) return false
  try {
    await openClassifier(network)
    return true
  } catch (cause) {
    const why = reasonOf(cause)
    const named = why.startsWith(network) ? why : `${network}: ${why}`
    progress.note(`${named}; it is trained again`, { network })
    return false
  }
}
