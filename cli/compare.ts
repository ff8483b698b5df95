// kindred compare: the three mechanisms of MoCo's Figure 2 over numbers of negatives, on the same
// images, encoder, views and budget, as its Figure 3. Every point is a run folder of its own, so
// that an interrupted comparison goes on where it was.

import { join } from 'node:path'
import { printableLines } from '../kernels/printable.ts'
import { makeFolder, readBytes, writeAtomic } from '../engine/node-files.ts'
import { counted } from '../data/words.ts'
import { checkWritable } from './runs.ts'
import { UsageError } from '../training/choice.ts'
import { sameCommand } from './command.ts'
import { absoluteSource } from './data-source.ts'
import { type ComparedPoint, comparePage } from './compare-page.ts'
import { uplotFiles } from './report-page.ts'
import { flat } from './report.ts'
import { type ConfigOptions, configOf } from '../training/config.ts'
import { closeImages, openRunImages } from './images.ts'
import { comparable } from '../training/metrics.ts'
import { jsonLine } from './output.ts'
import { openRunGpu } from './precision.ts'
import { startProgress } from './progress.ts'
import { checkRoom } from './room.ts'
import { utf8, exists } from '../runs/run-config.ts'
import { readRun } from './runs.ts'
import { trainingImages } from '../training/prepare.ts'
import { mocoPresets } from '../methods/presets/moco.ts'
import { trainMethod } from './train-command.ts'

export interface CompareFlags {
  readonly data?: string
  readonly out?: string
  readonly negatives?: readonly number[]
  readonly subset?: number
  readonly model?: string
  readonly width?: number
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly seed?: number
  readonly adapter?: string
  readonly json?: boolean
}

const mechanisms = ['end-to-end', 'memory-bank', 'moco'] as const
const PLAN = 'compare.json'
const SIDE = 32 // pixels: what the presets are made for
type Mechanism = (typeof mechanisms)[number]

/** What is compared, as compare.json holds it. */
interface Plan {
  readonly preset: 'demo' | 'cifar10'
  readonly data: string
  readonly negatives: readonly number[]
  readonly subset: number
  readonly epochs: number
  readonly batch: number
  readonly width: number
  readonly seed: number
  readonly model?: string
  readonly lr?: number
}

/** Trains what is still missing, prints the table, writes compare.html, and returns the exit code.
 *  Throws Error in one line. */
export async function compare(flags: CompareFlags): Promise<number> {
  const plan = planOf(flags)
  const out = flags.out ?? join('runs', 'compare')
  await checkWritable(out)
  const found = await agreeing(out, plan)
  const images = await imagesFor(plan, flags) // what cannot be is told before the folder is taken
  await take(out, plan, found)
  const points: ComparedPoint[] = []
  for (const K of plan.negatives)
    for (const mechanism of mechanisms) {
      if (mechanism === 'end-to-end' && K > images / 2) {
        points.push({ mechanism, negatives: K, knn: null, pixels: null }) // its negatives are its batch
        continue
      }
      const dir = join(out, `${mechanism}-${K}`)
      const code = await trained(dir, mechanism, K, { plan, flags })
      if (code !== 0) {
        console.error(printableLines(`kindred: go on with the same command: ${sameCommand()}`))
        return code
      }
      points.push({ mechanism, negatives: K, ...(await accuracies(dir)) })
    }
  const html = comparePage(points, flat({ ...plan }), await uplotFiles())
  await writeAtomic(join(out, 'compare.html'), utf8(html))
  for (const point of flags.json ? points : []) console.log(jsonLine({ event: 'point', ...point }))
  if (!flags.json)
    console.log(
      printableLines(`${table(points, plan)}\n\n${join(out, 'compare.html')} shows the curves`),
    )
  return 0
}

/** The flags over the defaults: a quarter of an hour on a CPU adapter. On the built-in images all
 *  learn at one rate. */
function planOf(flags: CompareFlags): Plan {
  const negatives = [...new Set(flags.negatives ?? [32, 128, 512])]
  const subset = flags.subset ?? 1000
  const batch = flags.batch ?? 64
  const lr = flags.lr ?? (flags.data === undefined ? 1e-3 : undefined)
  return {
    preset: flags.data === undefined ? 'demo' : 'cifar10',
    data: absoluteSource(flags.data ?? 'procedural'),
    ...{
      negatives,
      subset,
      batch,
      epochs: flags.epochs ?? 40,
      width: flags.width ?? 8,
      seed: flags.seed ?? 0,
    },
    ...(flags.model === undefined ? { model: 'resnet8' } : { model: flags.model }),
    ...(lr === undefined ? {} : { lr }),
  }
}

/** How many images there are to train on. Throws UsageError for what some point could not be
 *  trained with, and DataError. */
async function imagesFor(plan: Plan, { json = false, adapter }: CompareFlags): Promise<number> {
  const { batch, negatives } = plan
  const few = negatives.find((K) => K < 2)
  if (few !== undefined)
    throw new UsageError(
      `--negatives: each must be 2 or more, as end-to-end's batch is its number of negatives, got ${few}`,
    )
  const splits = splitsOf(plan)
  if (batch % splits !== 0 || batch < 2 * splits)
    throw new UsageError(
      `--batch: must be a multiple of ${splits} from ${2 * splits} on, as MoCo's batch norm goes over ${splits} groups of 2 images or more, got ${batch}`,
    )
  const configs = negatives.flatMap((K) =>
    mechanisms.map((mechanism) => configOf(mechanism, pointOf(mechanism, K, plan), false)),
  )
  const [config] = configs
  if (!config) throw new UsageError('--negatives: must name one number or more, got none')
  const progress = startProgress({ json })
  const data = await openRunImages(config, progress)
  const images = trainingImages(config, data)
  const { size } = images
  await closeImages(data)
  progress.stop()
  if (batch > size / 2)
    throw new UsageError(
      `--batch: must be at most half of the ${counted(size, 'image')}, got ${batch}`,
    )
  const gpu = await openRunGpu(adapter, config)
  try {
    for (const each of configs) checkRoom(gpu, each, images)
  } finally {
    gpu.destroy()
  }
  return size
}

/** The groups of batch norm in the preset that MoCo's points have. */
const splitsOf = ({ preset, batch }: Plan): number =>
  mocoPresets[`moco-v1-${preset}`]?.settings(SIDE, batch).bnSplits ?? 1

/** What compare.json in `out` holds, or null. Throws UsageError when that is another comparison,
 *  and Error for what cannot be read. */
async function agreeing(out: string, plan: Plan): Promise<string | null> {
  const path = join(out, PLAN)
  if (!(await exists(path))) return null
  const found = new TextDecoder().decode(await readBytes(path))
  if (withoutData(found) === withoutData(textOf(plan))) return found
  throw new UsageError(
    `--out: ${out} holds a comparison with other settings; choose another folder`,
  )
}

/** Makes `out` this comparison's; its images may have been moved since what was found there. */
async function take(out: string, plan: Plan, found: string | null) {
  const text = textOf(plan)
  await makeFolder(out)
  if (found !== text) await writeAtomic(join(out, PLAN), utf8(text))
}

const textOf = (plan: Plan) => `${JSON.stringify(plan, null, 2)}\n`

/** The settings of compare.json but where the images are, which each run's own fingerprint tells;
 *  as text. */
function withoutData(text: string): string {
  try {
    const { data: _data, ...settings } = JSON.parse(text) as Partial<Plan>
    return JSON.stringify(settings)
  } catch {
    return '' // no comparison's
  }
}

/** Trains the run in `dir`, from where it was, and returns the exit code. */
async function trained(
  dir: string,
  mechanism: Mechanism,
  K: number,
  { plan, flags }: { readonly plan: Plan; readonly flags: CompareFlags },
): Promise<number> {
  const { adapter, json } = flags
  const how = {
    ...(adapter === undefined ? {} : { adapter }),
    ...(json === undefined ? {} : { json }),
  }
  const begun = await readRun(dir).catch(() => null)
  const moved = flags.data === undefined ? {} : { data: plan.data }
  if (begun) return trainMethod(mechanism, { ...how, ...moved, resume: dir })
  return trainMethod(mechanism, { ...how, ...pointOf(mechanism, K, plan), out: dir })
}

/** The settings of one point. */
function pointOf(mechanism: Mechanism, K: number, plan: Plan): ConfigOptions {
  const { preset, negatives: _negatives, batch, ...settings } = plan
  const own = {
    'end-to-end': { batch: K },
    'memory-bank': { batch, negatives: K },
    moco: { batch, queue: K },
  }
  const named = {
    moco: `moco-v1-${preset}`,
    'memory-bank': `memory-bank-${preset}`,
    'end-to-end': `end-to-end-${preset}`,
  }
  return {
    ...settings,
    ...own[mechanism],
    ...{ preset: named[mechanism], stem: 'cifar', knnEvery: 0 },
  }
}

/** kNN top-1 in percent of a finished run's encoder, and of raw pixels. */
async function accuracies(dir: string): Promise<{ knn: number | null; pixels: number | null }> {
  const metrics = comparable(await (await readRun(dir)).metrics())
  return {
    knn: metrics.findLast((m) => m.knn !== undefined)?.knn ?? null,
    pixels: metrics.find((m) => m.pixels !== undefined)?.pixels ?? null,
  }
}

const describe = ({ data, subset, model, width, epochs, batch, seed }: Plan) =>
  `${model ?? 'preset'} of width ${width}, ${counted(subset, 'image')} of ${data}, ${counted(epochs, 'epoch')}, batch ${batch} (end-to-end: its negatives), seed ${seed}`

/** kNN top-1 by mechanism and number of negatives. */
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
