// kindred classify: what a fine-tuned network says images are.

import { lookAt } from '../../data/paths.ts'
import { printable } from '../../kernels/printable.ts'
import { testSide } from '../../kernels/augment/recipes.ts'
import { openClassifier } from '../../run-folder/saved-classifier.ts'
import { UsageError } from '../../training/choice.ts'
import { command } from '../command.ts'
import { jsonLine } from '../output.ts'
import { onSeenGpu } from './features.ts'
import { openFiles, picturesSeen } from './named-files.ts'
import { leaveClean } from './out-file.ts'
import { type PictureFlags, notes, openPictures, seenOf, told } from './pictures.ts'

/** Options of kindred classify. */
export interface ClassifyFlags extends PictureFlags {
  readonly top?: number
}

/** A class with its probability. */
interface Guess {
  readonly class: string
  readonly probability: number
}

/** Prints the most probable classes of each image, and returns the exit code. Throws Error in
 *  words. */
export async function classifyImages(
  network: string,
  images: readonly string[],
  flags: ClassifyFlags,
): Promise<number> {
  leaveClean()
  if (images.length > 0 && flags.data !== undefined)
    throw new UsageError('--data: must be left out beside images, or the images left out')
  if (images.length === 0 && flags.data === undefined)
    throw new UsageError('classify: needs images, got none; name image files, or a set with --data')
  await checkFile(network)
  const saved = await openClassifier(network)
  const progress = notes()
  const opened =
    images.length > 0
      ? await openFiles(images, testSide(saved.config.size))
      : await openPictures(network, saved, flags, progress)
  try {
    const options = { unit: false, command: 'classify' }
    const whole = { ...saved, build: saved.buildClassifier }
    const { pictures, rows } = await onSeenGpu(saved, flags, (gpu) =>
      picturesSeen(gpu, whole, opened, progress, options),
    )
    const { skippedFiles } = pictures
    const results = guessesOf(rows.features, saved.classes, flags.top ?? 1).map((guesses, i) => ({
      ...told(pictures, i),
      guesses,
    }))
    process.stdout.write(
      flags.json
        ? `${jsonLine({ ...seenOf(network, saved), classes: saved.classes, skippedFiles, results })}\n`
        : linesOf(results),
    )
    return 0
  } finally {
    await opened.close()
  }
}

/** Throws UsageError for a folder, which is a run's: with the command that makes a network of
 *  it. */
async function checkFile(network: string) {
  const { status } = await lookAt(network)
  if (!status?.isDirectory()) return
  throw new UsageError(
    `${network}: must be the file of a fine-tuned network, is a folder; make one of this run with: ` +
      command('eval', 'finetune', network, '--labels', '10%'),
  )
}

/** Returns the most probable classes of each row of scores [N, C], the first of equals first. */
export function guessesOf(
  scores: Float32Array,
  classes: readonly string[],
  top: number,
): Guess[][] {
  const C = classes.length
  return Array.from({ length: scores.length / C }, (_, n) => {
    const own = scores.subarray(n * C, (n + 1) * C)
    const most = own.reduce((a, b) => Math.max(a, b), -Infinity)
    const shares = Array.from(own, (score) => Math.exp(score - most))
    const total = shares.reduce((a, b) => a + b, 0)
    return classes
      .map((name, c) => ({ class: name, probability: (shares[c] ?? 0) / total }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top)
  })
}

/** An image's path, and its most probable classes. */
interface Classified {
  readonly path: string
  readonly guesses: readonly Guess[]
}

/** Writes a line for each image: its path, then each class with its probability, between tabs. */
const linesOf = (results: readonly Classified[]): string =>
  results
    .map(({ path, guesses }) => {
      const words = guesses.map(
        ({ class: name, probability }) => `\t${printable(name)}\t${probability.toFixed(3)}`,
      )
      return `${printable(path)}${words.join('')}\n`
    })
    .join('')
