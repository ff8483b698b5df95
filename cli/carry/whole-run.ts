// kindred export and import of whole runs: one file, with which a page or another machine goes on.

import { rename } from 'node:fs/promises'
import { basename } from 'node:path'
import { codeOf, readBytes, writeError } from '../../engine/node-files.ts'
import { printable } from '../../kernels/printable.ts'
import { checkConfig } from '../../training/check-config.ts'
import { UsageError } from '../../training/choice.ts'
import { packRun } from '../../training/pack.ts'
import { contentsOf, fill } from '../../training/run-contents.ts'
import { unpackRun } from '../../training/unpack.ts'
import { sourceOf } from '../data-source.ts'
import { jsonLine } from '../output.ts'
import { beginRun, checkNewRun, readRun } from '../runs.ts'
import { discarded, draftOf, leaveClean, writeNew } from '../see/out-file.ts'
import type { ExportFlags } from './export.ts'
import type { ImportFlags } from './import.ts'

const warn = (line: string) => {
  console.error(`kindred: ${printable(line)}`)
}

/** Writes a whole run as one file, and returns the exit code. Throws Error in words. */
export async function exportRun(dir: string, flags: ExportFlags): Promise<number> {
  const { to, checkpoint, force = false, json = false } = flags
  if (checkpoint !== undefined)
    throw new UsageError('--checkpoint: a .zip holds the newest and the best; leave it out')
  const run = await readRun(dir)
  const file = await packRun(run, { onNote: warn })
  await writeNew('--to', to, [new Uint8Array(await file.arrayBuffer())], force)
  const result = { run: dir, kind: 'zip', bytes: file.size, files: [to] }
  const words = `the run in ${printable(dir)}, to go on with anywhere, in ${printable(to)}`
  process.stdout.write(`${json ? jsonLine(result) : words}\n`)
  return 0
}

/** Makes a run folder of such a file, whole or not at all, and returns the exit code. Throws Error in
 *  words. */
export async function importRun(path: string, flags: ImportFlags): Promise<number> {
  const { out, data, json = false } = flags
  const others = ['model', 'stem', 'width', 'size', 'normalize', 'prefix', 'adapter'] as const
  const other = others.find((name) => flags[name] !== undefined)
  if (other !== undefined)
    throw new UsageError(`--${other}: a packed run has its own; leave it out`)
  await checkNewRun(out)
  leaveClean()
  const run = await unpackRun(await readBytes(path), { name: basename(path), onNote: warn })
  const contents = await contentsOf(run, warn)
  const about = { ...checkConfig(run.config, run.name).about, imported: path }
  const draft = draftOf(out)
  try {
    const source = data === undefined ? {} : sourceOf(data, out)
    const made = await beginRun(draft, { ...contents.config, ...source, about })
    await fill(made, contents).finally(() => made.close())
    await rename(draft, out)
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause
    throw codeOf(cause) === 'ENOTEMPTY'
      ? new Error(`--out: ${printable(out)} is not empty; name another folder`)
      : writeError(out, cause)
  } finally {
    await discarded(draft)
  }
  const { step } = contents.newest
  const words = `run folder: ${printable(out)}, at step ${step}`
  process.stdout.write(`${json ? jsonLine({ run: out, step }) : words}\n`)
  return 0
}
