// kindred compare: the three mechanisms of MoCo's Figure 2 with several numbers of negatives, on
// the same images, encoder, views and budget, as in its Figure 3. Each run has a folder of its own,
// so that the same command continues an interrupted comparison.

import { join } from 'node:path'
import { printableLines } from '../kernels/printable.ts'
import { writeAtomic } from '../engine/node-files.ts'
import { counted } from '../data/words.ts'
import { UsageError } from '../training/choice.ts'
import { sameCommand } from './command.ts'
import { type ComparedPoint, comparePage } from './compare-page.ts'
import {
  type CompareFlags,
  type Mechanism,
  type Plan,
  checkPlan,
  mechanisms,
  planOf,
  pointOf,
  savePlan,
  savedPlan,
} from './compare-plan.ts'
import { flat } from './report/settings.ts'
import { configFrom } from '../training/config.ts'
import { closeImages, openRunImages } from './images.ts'
import { comparable } from '../training/metrics.ts'
import { jsonLine } from './output.ts'
import { openRunGpu } from './gpu-options.ts'
import { startProgress } from './progress.ts'
import { checkRoom } from './room.ts'
import { utf8 } from '../run-folder/run-config.ts'
import { checkWritable, readRun } from './runs.ts'
import { trainingImages } from '../training/prepare.ts'
import { trainMethod } from './train-command.ts'

/** Trains the runs that are missing, prints the table, writes compare.html, and returns the exit
 *  code. Throws Error in one line. */
export async function compare(flags: CompareFlags): Promise<number> {
  const plan = planOf(flags)
  const out = flags.out ?? join('runs', 'compare')
  await checkWritable(out)
  const saved = await savedPlan(out, plan)
  const images = await countImages(plan, flags) // refuses a plan before the folder is written
  await savePlan(out, plan, saved)
  const points: ComparedPoint[] = []
  for (const K of plan.negatives)
    for (const mechanism of mechanisms) {
      if (mechanism === 'end-to-end' && K > images / 2) {
        points.push({ mechanism, negatives: K, knn: null, pixels: null }) // its batch would be K
        continue
      }
      const dir = join(out, `${mechanism}-${K}`)
      const code = await trainPoint(dir, mechanism, K, { plan, flags })
      if (code !== 0) {
        console.error(printableLines(`kindred: go on with the same command: ${sameCommand()}`))
        return code
      }
      points.push({ mechanism, negatives: K, ...(await accuracies(dir)) })
    }
  const html = comparePage(points, flat({ ...plan }))
  await writeAtomic(join(out, 'compare.html'), utf8(html))
  for (const point of flags.json ? points : []) console.log(jsonLine({ event: 'point', ...point }))
  if (!flags.json)
    console.log(
      printableLines(`${table(points, plan)}\n\n${join(out, 'compare.html')} shows the curves`),
    )
  return 0
}

/** Counts the training images. Throws UsageError if the plan has a run that cannot be trained, and
 *  DataError if the images cannot be used. */
async function countImages(plan: Plan, flags: CompareFlags): Promise<number> {
  checkPlan(plan)
  const configs = plan.negatives.flatMap((K) =>
    mechanisms.map((mechanism) => configFrom(mechanism, pointOf(mechanism, K, plan), false)),
  )
  const [config] = configs
  if (!config) throw new UsageError('--negatives: must name one number or more, got none')
  const progress = startProgress({ json: flags.json ?? false })
  const data = await openRunImages(config, progress)
  const images = trainingImages(config, data)
  const { size } = images
  await closeImages(data)
  progress.stop()
  if (plan.batch > size / 2)
    throw new UsageError(
      `--batch: must be at most half of the ${counted(size, 'image')}, got ${plan.batch}`,
    )
  const gpu = await openRunGpu(flags, config)
  try {
    for (const each of configs) checkRoom(gpu, each, images)
  } finally {
    gpu.destroy()
  }
  return size
}

/** Trains the run in `dir`, from its newest checkpoint if it has one. Returns the exit code. */
async function trainPoint(
  dir: string,
  mechanism: Mechanism,
  K: number,
  { plan, flags }: { readonly plan: Plan; readonly flags: CompareFlags },
): Promise<number> {
  const { adapter, robustness, json } = flags
  const how = {
    ...(adapter === undefined ? {} : { adapter }),
    ...(robustness === undefined ? {} : { robustness }),
    ...(json === undefined ? {} : { json }),
  }
  const begun = await readRun(dir).catch(() => null)
  const moved = flags.data === undefined ? {} : { data: plan.data }
  if (begun) return trainMethod(mechanism, { ...how, ...moved, resume: dir })
  return trainMethod(mechanism, { ...how, ...pointOf(mechanism, K, plan), out: dir })
}

/** Reads the kNN top-1 of a finished run's encoder and of raw pixels, in percent. */
async function accuracies(dir: string): Promise<{ knn: number | null; pixels: number | null }> {
  const metrics = comparable(await (await readRun(dir)).metrics())
  return {
    knn: metrics.findLast((m) => m.knn !== undefined)?.knn ?? null,
    pixels: metrics.find((m) => m.pixels !== undefined)?.pixels ?? null,
  }
}

const describe = ({ data, subset, model, width, epochs, batch, seed }: Plan) =>
  `${model ?? 'preset'}${width === undefined ? '' : ` of width ${width}`}, ${counted(subset, 'image')} of ${data}, ` +
  `${counted(epochs, 'epoch')}, batch ${batch} (end-to-end: its negatives), seed ${seed}`

/** Returns the kNN top-1 of each mechanism and number of negatives as a table. */
function table(points: readonly ComparedPoint[], plan: Plan): string {
  const cell = (mechanism: Mechanism, K: number) => {
    const knn = points.find((p) => p.mechanism === mechanism && p.negatives === K)?.knn ?? null
    return (knn === null ? '-' : `${knn.toFixed(1)}%`).padStart(13)
  }
  const rows = plan.negatives.map(
    (K) => `${String(K).padStart(9)}${mechanisms.map((mechanism) => cell(mechanism, K)).join('')}`,
  )
  return [
    `kNN top-1: ${describe(plan)}`,
    `negatives${mechanisms.map((mechanism) => mechanism.padStart(13)).join('')}`,
    ...rows,
    `raw pixels: ${points.find((p) => p.pixels !== null)?.pixels?.toFixed(1) ?? '-'}%`,
  ].join('\n')
}
