// kindred compare RUN...: finished or unfinished runs side by side.

import { dirname, join } from 'node:path'
import { makeFolder, writeAtomic } from '../engine/node-files.ts'
import { printableLines } from '../kernels/printable.ts'
import { utf8 } from '../run-folder/run-config.ts'
import { UsageError } from '../training/choice.ts'
import type { CompareFlags } from './compare-plan.ts'
import { jsonLine } from './output.ts'
import { accuracyOf, differencesOf, groupsOf, namesOf } from './report/compared.ts'
import { comparedPage } from './report/compared-page.ts'
import { readTimings } from './report/timings.ts'
import { readRun } from './runs.ts'

/** Prints the accuracies and the differences of two or more runs, writes compare.html, by default
 *  beside the first run, and returns the exit code. Throws UsageError for one run, or an option of
 *  the other form of the command, and Error for what is no run folder. */
export async function compareRuns(dirs: readonly string[], flags: CompareFlags): Promise<number> {
  const { out = dirname(dirs[0] ?? '.'), json = false, robustness: _, ...others } = flags // commander sets it
  const [extra] = Object.keys(others)
  if (extra !== undefined)
    throw new UsageError(
      `compare: --${extra} is for training anew; leave it out, or leave out the run folders`,
    )
  if (dirs.length < 2)
    throw new UsageError(`compare: needs two run folders or more, got one: ${dirs.join()}`)
  const names = namesOf(dirs)
  const runs = await Promise.all(
    dirs.map(async (dir, i) => {
      const run = await readRun(dir)
      const [metrics, timings] = await Promise.all([run.metrics(), readTimings(run)])
      return { name: names[i] ?? dir, config: run.config, metrics, timings }
    }),
  )
  await makeFolder(out)
  const path = join(out, 'compare.html')
  await writeAtomic(path, utf8(comparedPage(runs)))
  const [groups, differences] = [groupsOf(runs), differencesOf(runs)]
  if (json) console.log(jsonLine({ event: 'compare', path, groups, differences }))
  else {
    const lines = groups.map(
      (group) =>
        `  ${group.settings || 'all runs'}: ${accuracyOf(group)} (${group.runs.join(', ')})`,
    )
    const differ = differences.map(
      ({ path: setting, values }) => `  ${setting}: ${values.join(' | ')}`,
    )
    const what = differ.length === 0 ? ['all settings are equal'] : ['what differs', ...differ]
    console.log(
      printableLines(
        ['kNN top-1', ...lines, '', ...what, '', `${path} shows the curves`].join('\n'),
      ),
    )
  }
  return 0
}
