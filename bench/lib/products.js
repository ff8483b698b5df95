// What the benches of matrix products and convolutions share: verify, then time every tile at every
// precision, beside PyTorch.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { environment, torchHere } from './environment.js'
import { digits } from './numbers.js'
import { count, list } from './options.js'
import { peaks, time } from './peaks.js'
import { worstError } from './statistics.js'
import { table as columnsOf } from './table.js'
import { tolerances } from './verify.js'
import { isSoftware } from './waiting.js'
import * as kindred from '../../dist/node.js'

/** The options, parsed; `extend(command)` adds a bench's own. */
export function productOptions(name, description, extend) {
  const command = new Command(name)
    .description(description)
    .option('--precision <list>', 'f32, f16x3, f16 (default: all that the device offers)', list)
    .option('--tiles', 'time every tile, not only the one that would be taken')
    .option('--kernels <which>', "'gpu' times a GPU's kernels on any adapter", 'device')
    .option('--runs <n>', 'timed batches (default: 3 on a CPU adapter, else 9)', count)
    .option('--no-torch', 'without PyTorch')
    .option('--python <program>', 'the interpreter that has torch, with CUDA', 'python3')
    .option('--only-torch', 'time PyTorch alone')
    .option(
      '--ceilings <json>',
      'peaks that were measured before, as --json prints them',
      JSON.parse,
    )
    .option('--adapter <name>', "part of the GPU's name")
    .option('--verify-only', 'check against float64 and time nothing')
    .option('--no-verify', 'time what was checked before')
    .option('--json', 'print the results as JSON and nothing else')
    .addHelpText(
      'after',
      `
Printed: the adapter and its peaks (multiply-adds in registers, subgroup matrices, copy), then a row per problem, precision and
tile: the median time per call (min..max), GFLOP/s, and its share of the peak that the precision has: of multiply-adds for f32,
of subgroup matrices for f16, of a third of that for f16x3. Times are by the clock, over batches of calls of about 100 ms; on a
CPU adapter it is CPU time. A * marks the tile that Kindred takes by itself. Exit code 1 if a result is not that of the float64
reference.`,
    )
  extend(command)
  command.parse()
  return {
    ...command.opts(),
    command: `node bench/${name}.js ${process.argv.slice(2).join(' ')}`.trim(),
  }
}

/** Runs a bench and sets the exit code. A bench is
 *    name, checks, problems     of its torch program; small problems to verify; those to time, each
 *  with a name
 *    work(problem)              FLOPs
 *    prepare(gpu, problem)      the call, as a function that returns a tensor
 *    reference(problem)         its result in float64 */
export async function main(bench, flags) {
  try {
    process.exitCode = await run(bench, flags)
  } catch (error) {
    process.stderr.write(`bench: ${process.env.BENCH_DEBUG ? error.stack : error.message}\n`)
    process.exitCode = 1
  }
}

async function run(bench, flags) {
  const base = await kindred.openGpu(flags.adapter ? { adapter: flags.adapter } : {})
  const info = base.device.adapterInfo
  const software = isSoftware(info)
  const options = { software, runs: flags.runs ?? (software ? 3 : 9) }
  const precisions =
    flags.precision ?? (base.run.f16 && !software ? ['f32', 'f16x3', 'f16'] : ['f32'])
  const machines = precisions.map((precision) => [
    precision,
    new kindred.Gpu(base.device, { precision, kernels: flags.kernels }),
  ])
  if (flags.onlyTorch) machines.length = 0
  const good = !flags.verify || (await allVerified(bench, machines, flags))
  if (!good || flags.verifyOnly) return good ? 0 : 1
  const peak = flags.ceilings ?? (await peaks(base, options))
  const results = {
    ...{ command: flags.command, environment: environment(), driver: info.description, peak },
    adapter: info.device || info.description || info.architecture,
    rows: [],
  }
  const publish = () =>
    console.log(flags.json ? JSON.stringify(results, null, 2) : table(results, bench))
  process.once('SIGINT', () => {
    publish() // what there is
    process.exit(130)
  })
  for (const problem of bench.problems) {
    for (const [precision, gpu] of machines)
      results.rows.push(
        ...(await timeTiles(bench, gpu, { problem, precision, peak, flags, options })),
      )
    process.stderr.write(`timed ${problem.name}\n`)
  }
  results.rows.push(...torchRows(bench, flags))
  publish()
  base.destroy()
  return 0
}

/** Checks every machine and says what is wrong. */
async function allVerified(bench, machines, flags) {
  const checks = []
  for (const [precision, gpu] of machines) checks.push(...(await verify(bench, gpu, precision)))
  const bad = checks.filter(({ passed }) => !passed)
  for (const { precision, problem, tile, error } of bad)
    process.stderr.write(
      `WRONG: ${precision}, tile ${tile}, ${JSON.stringify(problem)}: off by ${digits(error)}\n`,
    )
  process.stderr.write(
    `verified ${checks.length - bad.length} of ${checks.length} results against float64\n`,
  )
  if (flags.verifyOnly && flags.json) console.log(JSON.stringify({ checks }))
  return bad.length === 0
}

/** The tiles a call may take: [number or null, whether it is the one that is taken]. They are found
 *  by listening to the races. */
function tilesOf(gpu, call) {
  const { race } = gpu.run
  let found = [[null, true]]
  listen(gpu, (_name, ways, guess, compute) => {
    found = Array.from({ length: ways }, (_, way) => [way, way === guess])
    return compute(guess)
  })
  gpu.step(call)
  listen(gpu, race)
  return found
}

/** Replaces the machine's choice among tiles: the type says readonly, the object does not mind. */
const listen = (gpu, race) => Object.assign(gpu.run, { race })

const only = (way) => (_name, _ways, guess, compute) => compute(way ?? guess)

async function verify(bench, gpu, precision) {
  const checks = []
  for (const problem of bench.checks) {
    const call = bench.prepare(gpu, problem)
    const expected = bench.reference(problem)
    const { race } = gpu.run
    for (const [way] of tilesOf(gpu, call)) {
      listen(gpu, only(way))
      const error = worstError(await gpu.read(gpu.step(call)), expected)
      checks.push({ precision, problem, tile: way, error, passed: error <= tolerances[precision] })
    }
    listen(gpu, race)
  }
  return checks
}

async function timeTiles(bench, gpu, { problem, precision, peak, flags, options }) {
  const call = bench.prepare(gpu, problem)
  const flops = bench.work(problem)
  const ceiling = gpu.run.matrices
    ? { f32: peak.fma, f16: peak.matrices, f16x3: peak.matrices / 3 }[precision]
    : peak.fma
  const rows = []
  const { race } = gpu.run
  for (const [way, taken] of tilesOf(gpu, call)) {
    if (!taken && !flags.tiles) continue
    listen(gpu, only(way))
    const ms = await time(() => gpu.step(call), options)
    const gflops = flops / ms.median / 1e6
    rows.push({
      problem,
      by: `kindred ${precision}`,
      tile: way,
      taken,
      ms,
      gflops,
      share: ceiling ? gflops / ceiling : null,
    })
  }
  listen(gpu, race)
  await gpu.check()
  return rows
}

/** PyTorch's times, from its program: one JSON line per problem and precision. */
function torchRows({ name, problems, work }, { torch, python }) {
  if (!torch) return []
  const { missing } = torchHere(python)
  if (missing) {
    process.stderr.write(`without PyTorch: ${missing}\n`)
    return []
  }
  const program = fileURLToPath(new URL(`../torch/${name}.py`, import.meta.url))
  const text = execFileSync(python, [program, JSON.stringify(problems)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const { index, precision, ms } = JSON.parse(line)
      const problem = problems[index]
      return {
        problem,
        by: `torch ${precision}`,
        tile: null,
        taken: true,
        ms,
        gflops: work(problem) / ms.median / 1e6,
      }
    })
}

function table({ environment: about, adapter, driver, peak, rows, command }, { problems }) {
  const head = [
    `${adapter} (${driver}), ${about.dawn}, Node ${about.node}, ${about.date}; kindred ${about.kindred}`,
    command,
    `peaks: ${digits(peak.fma)} GFLOP/s multiply-adds, ${digits(peak.matrices)} GFLOP/s subgroup matrices, ${digits(peak.copy)} GB/s copy`,
  ]
  const columns = ['problem', 'by', 'tile', 'ms', '(min..max)', 'GFLOP/s', 'of peak']
  const lines = problems.flatMap((problem) =>
    rows.filter((row) => row.problem === problem).map(cells),
  )
  return [...head, '', columnsOf([columns, ...lines])].join('\n')
}

const cells = ({ problem, by, tile, taken, ms, gflops, share }) => [
  ...[problem.name, by, tile === null ? '' : `${tile}${taken ? '*' : ''}`],
  ...[digits(ms.median), `${digits(ms.min)}..${digits(ms.max)}`, digits(gflops)],
  share ? `${(share * 100).toFixed(1)} %` : '',
]
