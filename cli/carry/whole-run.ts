// kindred export and import of whole runs: one file, with which a page or another machine goes on.
// It may carry the images as they are trained on, since a page decodes and scales them otherwise.

import { rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Split } from '../../data/dataset.ts'
import { IMAGES } from '../../data/images-file.ts'
import { codeOf, megabytes, readBytes, writeError } from '../../engine/node-files.ts'
import { printable } from '../../kernels/printable.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import { checkConfig } from '../../training/check-config.ts'
import { UsageError } from '../../training/choice.ts'
import { packRun } from '../../training/pack.ts'
import { trainingImages } from '../../training/prepare.ts'
import { type RunContents, contentsOf, fill } from '../../training/run-contents.ts'
import { checkTrained, isUntrained } from '../../training/resumable.ts'
import { unpackRun } from '../../training/unpack.ts'
import { resumeCommand } from '../command.ts'
import { checkSourceHere, findSource, hasPath, sourceOf } from '../data-source.ts'
import { closeImages, openRunImages } from '../images.ts'
import { jsonLine } from '../output.ts'
import { runConfig } from '../place.ts'
import { type RunFolder, beginRun, checkNewRun, readRun } from '../runs.ts'
import { discarded, draftOf, leaveClean, writeNew } from '../see/out-file.ts'
import { syncFolderNow } from '../see/place-together.ts'
import { notes } from '../see/pictures.ts'
import type { ExportFlags } from './export.ts'
import { carriedIn, carriedWords } from './carried.ts'
import type { ImportFlags } from './import.ts'

const warn = (line: string) => {
  console.error(`kindred: ${printable(line)}`)
}

/** Writes a whole run as one file, and returns the exit code. Throws Error in words. */
export async function exportRun(dir: string, flags: ExportFlags): Promise<number> {
  const { to, checkpoint, withImages = false, data, force = false, json = false } = flags
  if (checkpoint !== undefined)
    throw new UsageError('--checkpoint: a .zip holds the newest and the best; leave it out')
  if (data !== undefined && !withImages)
    throw new UsageError('--data: says where the images are; give it with --with-images')
  const run = await readRun(dir)
  const { checkpoint: newest } = await run.latest()
  if (newest) checkTrained(run, newest)
  const images = withImages
    ? await imagesOf(run, data)
    : flags.images === false
      ? null
      : await kept(run)
  try {
    const file = await packRun(run, { images, onNote: warn }).catch((cause: unknown) => {
      throw withImages || !images ? cause : leavable(cause)
    })
    await writeNew('--to', to, [new Uint8Array(await file.arrayBuffer())], force)
    const told = images && (await carriedIn(images))
    const result = { run: dir, kind: 'zip', bytes: file.size, ...(told && { images: told }) }
    const isNeedy = !told && hasPath(runConfig(run).data)
    const lines = [
      `the run in ${printable(dir)}, to go on with ${isNeedy ? 'where its images are' : 'anywhere'}, ` +
        `in ${printable(to)}, ${megabytes(file.size)}`,
      ...(told ? [`  with its images: ${carriedWords(told)}`] : []),
      ...(isNeedy && flags.images !== false
        ? ['  without its images: for a page, or elsewhere, add --with-images']
        : []),
    ]
    process.stdout.write(`${json ? jsonLine({ ...result, files: [to] }) : lines.join('\n')}\n`)
    return 0
  } finally {
    if (images) await closeImages(images)
  }
}

/** Opens the images that lie in a run folder. Throws Error with the option that leaves them out. */
const kept = (run: RunFolder): Promise<Split | null> =>
  run.images().catch((cause: unknown) => {
    throw leavable(cause)
  })

/** The error for images in a run folder that cannot be carried. */
const leavable = (cause: unknown) =>
  new Error(`${reasonOf(cause)}; --no-images leaves out those in the run folder`, { cause })

/** Opens the images that a run was trained on and is measured with. Throws Error in words. */
async function imagesOf(run: RunFolder, data: string | undefined): Promise<Split> {
  const config = runConfig(run)
  const source = data ?? findSource(config, run.dir)
  const split = await openRunImages({ ...config, data: source }, notes())
  return { ...split, train: trainingImages(config, split) }
}

/** Makes a run folder of such a file, whole or not at all, and returns the exit code. Throws Error
 *  in words. */
export async function importRun(path: string, flags: ImportFlags): Promise<number> {
  const { out, data, json = false } = flags
  const others = ['model', 'stem', 'width', 'size', 'normalize', 'prefix', 'adapter'] as const
  const other = others.find((name) => flags[name] !== undefined)
  if (other !== undefined)
    throw new UsageError(`--${other}: a packed run has its own; leave it out`)
  if (data !== undefined) checkSourceHere(data)
  await checkNewRun(out)
  leaveClean()
  const run = await unpackRun(await readBytes(path), { name: basename(path), onNote: warn })
  const { images = null, ...rest } = await contentsOf(run, warn)
  const left = images && data !== undefined ? { images, data } : null
  const contents = { ...rest, images: left ? null : images }
  const { carried: _, ...old }: Readonly<Record<string, unknown>> =
    checkConfig(run.config, run.name).about ?? {}
  const about = { ...old, imported: path, ...(left && { carried: 'left out' }) }
  const draft = draftOf(out)
  try {
    const beside = contents.images ? `images:${join(out, IMAGES)}` : undefined
    const given = data ?? beside
    const source = given === undefined ? {} : sourceOf(given, out)
    const made = await beginRun(draft, { ...contents.config, ...source, about })
    await fill(made, contents).finally(() => made.close())
    await rename(draft, out)
    syncFolderNow(dirname(out))
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause
    throw codeOf(cause) === 'ENOTEMPTY'
      ? new Error(`--out: ${printable(out)} is not empty; name another folder`)
      : writeError(out, cause)
  } finally {
    await discarded(draft)
  }
  await tellImported(out, contents, { json, left })
  return 0
}

/** Images that a file carries and its run folder does not, and where that finds them. */
interface LeftOut {
  readonly images: Split
  readonly data: string
}

/** Prints what was imported, and the command that goes on. */
async function tellImported(
  out: string,
  { config, newest, images }: RunContents,
  { json, left }: { readonly json: boolean; readonly left: LeftOut | null },
) {
  const { step } = newest
  const told = images && (await carriedIn(images))
  const leftOut = left && (await carriedIn(left.images))
  const lines = [
    `run folder: ${printable(out)}, at step ${step}`,
    ...(told ? [`  with its images: ${carriedWords(told)}`] : []),
    ...(leftOut ? [`  without the images that it carries: ${carriedWords(leftOut)}`] : []),
    ...(left ? [`  they must be those of ${printable(left.data)}`] : []),
    ...(isUntrained(newest) ? [] : [`go on with: ${resumeCommand(String(config['method']), out)}`]),
  ]
  const result = { run: out, step, ...(told && { images: told }), ...(leftOut && { leftOut }) }
  process.stdout.write(`${json ? jsonLine(result) : lines.join('\n')}\n`)
}
