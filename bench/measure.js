// Everything that there is to know of a GPU, in ten minutes: `npm run measure`. It checks every op
// against float64, then measures, part by part; see `--help` and docs/benchmarks.md.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { torchHere } from './lib/environment.js'
import { count, endedBy, list, positive } from './lib/options.js'
import { keep } from './measure/keep.js'
import { first, tasksFor } from './measure/plan.js'
import { markdown } from './measure/report.js'
import { start } from './measure/run.js'

const LEAST = 3 // seconds; with less left a task is not begun
const SPARE = 15 // seconds that a task in the time left must have

const PARTS = ['check', 'gemm', 'conv', 'losses', 'augment', 'steps', 'training']

/** Minutes: enough to open a device and measure something. */
function minutes(text) {
  const value = positive(text)
  if (value < 1)
    throw new InvalidArgumentError('nothing is measured in less than a minute; give 1 or more.')
  return value
}

/** Names of parts. */
function parts(text) {
  const names = list(text)
  const unknown = names.find((name) => !PARTS.includes(name))
  if (names.length === 0) throw new InvalidArgumentError(`name some of ${PARTS.join(', ')}.`)
  if (unknown)
    throw new InvalidArgumentError(
      `there is no part '${unknown}'; name some of ${PARTS.join(', ')}.`,
    )
  return names
}

const flags = new Command('measure')
  .exitOverride(endedBy)
  .description('Check every op on this GPU against float64, then measure all of Kindred on it.')
  .option('--minutes <n>', 'that it may take at most, from 1 on', minutes, 10)
  .addOption(
    new Option('--peers <which>', 'other libraries beside it, where they are installed')
      .choices(['none', 'torch', 'all'])
      .default('torch'),
  )
  .option('--data <source>', 'images of the training: cifar10:FOLDER (default: procedural)')
  .option('--batch <n>', 'images of a step (default: 512), fewer where memory is short', count)
  .option('--only <list>', `parts: ${PARTS.join(', ')}`, parts)
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--tiny', 'sizes that only show that all of it works, as on a CPU adapter')
  .option('--out <folder>', 'where results go (default: a new folder in bench/out)')
  .addHelpText(
    'after',
    `
In order: the adapter and what it can do at most; every op and loss against float64 in each
precision, and products in every tile; matrix products, convolutions, losses, augmentation and
steps of all methods, beside PyTorch (strict f32, TF32, bf16 autocast; the step channels-last and
compiled too) where python3 has it with CUDA; a short training. Each task is a process that is
ended when its time is up; what it leaves of it is the next ones'. After each task results.json and
results.md are written anew: Markdown rows for bench/RESULTS.md, shares of the measured ceilings,
and beside each step its time by the model, the roofline of its dispatches. Ctrl-C keeps them.

On a CPU adapter sizes are tiny: its figures show that the command works, and nothing else. Without
npm, as on a bare GPU host: node bench/measure.js. The exit code is 1 if an op is wrong or a task
fails, 2 for wrong options, 130 after Ctrl-C.`,
  )
  .parse()
  .opts()

const say = (text) => process.stderr.write(`${text}\n`)

function refuse(message) {
  say(`measure: ${message}`)
  process.exit(2)
}

/** Refuses what would only fail in ten minutes. */
function checkFlags({ data, out }) {
  if (!existsSync(new URL('../dist/cli/kindred.js', import.meta.url)))
    refuse('dist/ is missing, which is what is measured; run ./setup or npm run build first')
  const folder = data?.match(/^[\w-]+:(.*)$/)?.[1]
  if (folder !== undefined && !existsSync(folder))
    refuse(`--data ${data}: there is no ${folder}; give a folder that is there, or leave it out`)
  if (out !== undefined && existsSync(join(out, 'results.json')))
    refuse(`--out ${out} holds results of another run; name a new folder`)
}

checkFlags(flags)
const results = {
  command: ['npm run measure', ...process.argv.slice(2)]
    .join(' ')
    .replace('measure ', 'measure -- '),
  started: new Date().toISOString().slice(0, 19).replace('T', ' '),
  device: null,
  tasks: [],
}
const folderName = `measure-${results.started.replaceAll(/\D/g, '')}`
const out = resolve(flags.out ?? fileURLToPath(new URL(`out/${folderName}`, import.meta.url)))
const began = performance.now()
const left = () => 60 * flags.minutes - (performance.now() - began) / 1000
let running = null
let interrupted = false
let stretch = flags.minutes / 10 // of the seconds of a task
let saved = 0 // seconds that tasks left of their time

/** Runs a task within its share of the minutes and what others left of theirs; keeps what it
 *  found. */
async function run(task, place) {
  const share = task.seconds * stretch
  const limit = Math.min(Math.max(share + saved, task.least ?? 0), left())
  const found = { ...task, limit, status: 'no time was left' }
  if (limit >= (share > 0 ? LEAST : SPARE)) {
    say(`${place} ${task.part}: ${task.name}, ${limit.toFixed(0)} s at most`)
    running = start(task, limit)
    Object.assign(found, await running.done)
    running = null
    saved = Math.max(0, saved + share - found.took)
    say(`  ${found.status}${found.error ? `: ${found.error}` : ''}, ${found.took.toFixed(1)} s`)
  }
  results.tasks.push(found)
  keep(out, results)
  return found
}

/** What the other tasks rest on. Ends the program where there is no device. */
async function describe() {
  const { status, error, results: [found] = [] } = await run(first(flags), '[1]')
  if (interrupted) return null
  if (status !== 'done' || !found) {
    say(`measure: the GPU cannot be measured: ${error ?? status}; try node bench/peaks.js alone`)
    process.exit(1)
  }
  const torch = flags.peers === 'none' ? { missing: '--peers none' } : torchHere('python3')
  if (torch.missing) say(`  without PyTorch: ${torch.missing}`)
  results.device = { ...found, torch: torch.version ?? null }
  keep(out, results)
  return results.device
}

const stop = () => {
  interrupted = true
  running?.stop()
}
process.on('SIGINT', stop)
process.on('SIGTERM', stop)
const device = await describe()
const { adapter, peers, data, batch, only } = flags
const tiny = flags.tiny || device?.software
const all = device ? tasksFor(device, { adapter, peers, data, batch, tiny, out }) : []
const tasks = all.filter(({ part }) => !only || only.includes(part))
const planned = tasks.reduce((sum, { seconds }) => sum + seconds, 0)
if (only && planned > 0) stretch = left() / planned // the others leave their time to these
for (const [i, task] of tasks.entries())
  if (!interrupted) await run(task, `[${i + 2} of ${tasks.length + 1}]`)
const late = results.tasks.filter(({ status }) => status === 'no time was left').length
if (late > 0) say(`${late} of ${tasks.length} tasks were not begun; give more --minutes`)
say(`${interrupted ? 'stopped; ' : ''}results are in ${out} (results.md, results.json)`)
console.log(markdown(results))
const failed = results.tasks.some(({ status }) => status === 'failed')
process.exitCode = interrupted ? 130 : failed ? 1 : 0
