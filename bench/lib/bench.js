// A bench from beginning to end: ceilings, verification, races over the sizes, report. A bench is
//
//   name, title, axis    of its folder, of its plot, of what grows
//   problems(flags)      the sizes to time, smallest first; checks: those to verify on
//   sizeOf(problem)      the number on the axis
//   work(problem)        FLOPs {forward, both}, and bytes of inputs and outputs, bytes: {forward,
// both}
//   largestInput(problem), logits(problem)  bytes of the largest input, and of what an unfused loss
// stores
//   floor(size, flags)   bytes of inputs and outputs at a size of the axis
//   reference(problem)   {loss, gradients} in float64
//   exportOf(variant)    what Kindred must export

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { entrantsOf } from './entrants.js'
import { environment } from './environment.js'
import { raceAll } from './grid.js'
import { digits } from './numbers.js'
import { plot } from './plot.js'
import { startProgress } from './progress.js'
import { race } from './race.js'
import { heading, rowOf, table, withRatios } from './report.js'
import { summary } from './statistics.js'
import { verify } from './verify.js'

const dist = new URL('../../dist/node.js', import.meta.url)
const say = (text) => process.stderr.write(`${text}\n`)

/** Runs a bench as the options say and sets the exit code. */
export async function main(bench, flags) {
  // The first Ctrl-C ends the contestants, and what was measured is printed; the second ends all.
  process.once('SIGINT', () => {})
  try {
    process.exitCode = await run(bench, flags)
  } catch (error) {
    say(`bench: ${process.env.BENCH_DEBUG ? error.stack : error.message}`)
    process.exitCode = 1
  }
}

async function run(bench, flags) {
  const exported = await exportsOfBuild()
  const { entrants, missing } = entrantsOf(bench, flags)
  const ours = entrants.filter(({ module }) => module.endsWith('/kindred.js'))
  for (const { problem } of ours) {
    const name = bench.exportOf(problem?.variant)
    if (!exported.has(name)) throw new Error(`this build has no ${name}`)
  }
  for (const text of missing) say(`without ${text}`)
  const progress = startProgress()
  let checks, found, raced
  try {
    checks = flags.verify ? await verifyAll(bench, ours, { exported, flags, progress }) : []
    if (checks.every(({ passed }) => passed) && !flags.verifyOnly) {
      found = await measureCeilings(ours[0] ?? entrants[0], { flags, progress })
      raced = await raceAll(bench, entrants, { flags, device: found.device, progress })
    }
  } finally {
    progress.stop()
  }
  tell(checks)
  if (!raced) return checks.every(({ passed }) => passed) ? 0 : 1
  const rows = withRatios(raced.results.map((result) => rowOf(result, { bench, ...found })))
  await publish(bench, flags, {
    command: flags.command,
    environment: environment(),
    ...found,
    checks,
    notes: raced.notes,
    rows,
  })
  for (const note of raced.notes) say(note)
  return raced.results.some(
    ({ entrant, error, wrong }) => ours.includes(entrant) && (error || wrong),
  )
    ? 1
    : 0
}

async function exportsOfBuild() {
  if (!existsSync(dist)) throw new Error('dist/ is missing; run ./setup first')
  return new Set(Object.keys(await import(dist.href)))
}

/** Every variant that this build has, at each precision that takes part. */
async function verifyAll(bench, ours, { exported, flags, progress }) {
  const variants = bench.variants?.filter((v) => exported.has(bench.exportOf(v))) ?? [undefined]
  const absent = bench.variants?.filter((v) => !variants.includes(v)) ?? []
  if (absent.length > 0) say(`not in this build: ${absent.join(', ')}`)
  const settings = [...new Map(ours.map((entrant) => [entrant.settings.dtype, entrant])).values()]
  const entrants = settings.flatMap((entrant) =>
    variants.map((variant) => ({
      ...entrant,
      name: ['kindred', entrant.settings.dtype, variant].filter(Boolean).join(' '),
      problem: variant && { variant },
    })),
  )
  const problems = bench.checks
  progress.expect(entrants.length * problems.length)
  return verify(entrants, problems, {
    patience: flags.patience,
    reference: bench.reference,
    progress,
  })
}

async function measureCeilings({ settings }, { flags, progress }) {
  const runs = 5
  progress.expect(runs)
  const entrant = { name: 'ceilings', module: 'lib/ceilings.js', settings }
  const [{ ready, times, error }] = await race(
    [entrant],
    {},
    { runs, patience: flags.patience, progress },
  )
  if (error) throw new Error(`the device's ceilings cannot be measured: ${error}`)
  const { device, work } = ready
  const time = (what) => summary(times[what].map((t) => (device.software ? t.cpu : t.wall))).median
  const ceilings = {
    matmul: { gflops: work.matmul / time('matmul') / 1e6 },
    copy: { gbps: work.copy / time('copy') / 1e6 },
  }
  return { device, ceilings }
}

function tell(checks) {
  for (const { name, problem, loss, gradient } of checks.filter(({ passed }) => !passed))
    say(
      `WRONG: ${name} on ${JSON.stringify(problem)}: loss off by ${digits(loss)}, gradient by ${digits(gradient)}`,
    )
  if (checks.length === 0) return
  const worst = (what) => digits(Math.max(...checks.map((check) => check[what])))
  const passed = checks.filter((check) => check.passed).length
  const largest = `largest relative errors: loss ${worst('loss')}, gradient ${worst('gradient')}`
  say(`verified ${passed} of ${checks.length} problems against float64; ${largest}`)
}

/** Writes the JSON and the plot, and prints the table or the JSON. */
async function publish(bench, flags, results) {
  mkdirSync(flags.out, { recursive: true })
  const file = (ending) => join(flags.out, `${bench.name}.${ending}`)
  const json = JSON.stringify(results, null, 2)
  writeFileSync(typeof flags.json === 'string' ? flags.json : file('json'), json)
  if (flags.json === true) console.log(json)
  else console.log(`${heading(results)}\n\n${table(results.rows, bench, flags.markdown)}`)
  try {
    const floor = (size) => bench.floor(size, flags)
    const title = `${bench.title} on ${results.device.adapter}`
    writeFileSync(file('svg'), await plot(results.rows, { title, axis: bench.axis, floor }))
    say(`wrote ${file('json')} and ${file('svg')}`)
  } catch (error) {
    say(`no plot: ${error.message.split('\n')[0]}; cd bench && npm install`)
  }
}
