// How time and memory of the losses and of a training step grow with batch, image side, width and
// queue: exponents, fitted, beside those of the mathematics. `node bench/scale.js --help`.

import { counts } from './lib/accounting.js' // before anything opens a device
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { environment } from './lib/environment.js'
import { digits } from './lib/numbers.js'
import { count, endedBy, list, several } from './lib/options.js'
import { time } from './lib/peaks.js'
import { table } from './lib/table.js'
import { exponent, lastExponent } from './scale/fit.js'
import { series } from './scale/series.js'
import { estimateOf, scheduleBy } from './step-roofline.js'
import { openGpu } from '../dist/node.js'
import { page } from '../dist/cli/report/page.js'

/** What is measured or counted: the mathematics that bounds it, how far above that its exponent may
 *  lie, as times are noisy, and how it is shown. */
const WHAT = {
  time: { bound: 'time', slack: 0.3, show: digits },
  memory: { bound: 'memory', slack: 0.05, show: (bytes) => digits(bytes / 2 ** 20) },
  flops: { bound: 'time', slack: 0.05, show: (flops) => digits(flops / 1e6) },
  moved: { bound: 'time', slack: 0.05, show: (bytes) => digits(bytes / 1e6) },
}

const command = new Command('scale')
  .exitOverride(endedBy)
  .description('Fit how time and memory of losses and steps grow with their sizes.')
  .option(
    '--only <list>',
    "series whose name or axis contains one of these words: 'NT-Xent', 'queue'",
    list,
  )
  .option('--points <n>', 'sizes of each series, from the smallest on, at least 2', several)
  .option('--runs <n>', 'timed batches of calls at each size', count, 3)
  .option('--adapter <name>', "part of the GPU's name")
  .option('--out <folder>', 'where scale.json and scale.html go (default: bench/out)')
  .option('--json', 'print the results as JSON and nothing else')
  .option('--markdown', 'print the table as Markdown, for bench/RESULTS.md')
  .addHelpText(
    'after',
    `
Printed, of each series: time (forward and backward of a loss, a whole step), memory (the most
bytes of buffers alive while it runs), FLOPs of its products and bytes that it moves, both counted
on paper (step-roofline.js). A row has the value at each size, the exponent e of value = c size^e
fitted over all sizes, the one between the two largest, where fixed costs weigh least, and the
mathematics' own, which it may not exceed: time over all sizes by ${WHAT.time.slack}, the others over the last
two by ${WHAT.memory.slack}. If one does, it is marked, and the exit code is 1. On a CPU adapter sizes are tiny and
time is CPU time of all threads. bench/out/scale.html plots growth on logarithmic axes, the
mathematics' dashed; it opens without a network.`,
  )
  .parse()
const flags = command.opts()
const has = ({ name, axis }, word) => `${name} ${axis}`.toLowerCase().includes(word.toLowerCase())
const chosen = series.filter((one) => !flags.only || flags.only.some((word) => has(one, word)))
if (chosen.length === 0)
  command.error(
    `error: --only ${flags.only.join(',')}: no series has it; name one of ` +
      series.map(({ name, axis }) => `'${name} ${axis}'`).join(', '),
  )

/** A series at one size, on a device of its own: the least time in ms, the most bytes alive, FLOPs,
 *  bytes moved. */
async function measure({ open }, size) {
  const gpu = await openGpu(flags.adapter ? { adapter: flags.adapter } : {})
  const { software } = gpu
  const idle = counts.live
  const { call } = await open(gpu, size)
  const { min } = await time(call, { runs: flags.runs, software })
  counts.peak = counts.live
  call()
  await gpu.sync()
  const memory = counts.peak - idle
  const onPaper = async (paper) => (await open(paper, size)).call
  const { flops, bytes } = estimateOf(await scheduleBy(gpu.device, {}, onPaper))
  gpu.destroy()
  return { size, time: min, memory, flops, moved: bytes }
}

/** A series over its sizes, fitted. */
async function fitted(one, tiny) {
  const sizes = one.sizes[tiny ? 'tiny' : 'full'].slice(0, flags.points)
  const points = []
  for (const size of sizes) {
    points.push(await measure(one, size))
    process.stderr.write(`${one.name}, ${one.axis} ${size}: ${digits(points.at(-1).time)} ms\n`)
  }
  const fits = Object.entries(WHAT).map(([what, { bound, slack }]) => {
    const values = points.map((point) => point[what])
    const [all, last] = [exponent(sizes, values), lastExponent(sizes, values)]
    const expected = one.expected[bound]
    const judged = what === 'time' ? all : last // two times alone are noise
    return [what, { fitted: all, last, expected, above: judged > expected + slack }]
  })
  const { name, axis, why } = one
  return { name, axis, why, points, fits: Object.fromEntries(fits) }
}

const e = (value) => value.toFixed(2)

const lines = (found, software) =>
  found.flatMap(({ name, axis, points, fits }) =>
    Object.entries(WHAT).map(([what, { show }]) => {
      const { fitted: all, last, expected, above } = fits[what]
      const label = { time: `time, ${software ? 'CPU ' : ''}ms`, memory: 'memory, MiB' }
      const counted = { flops: 'products, MFLOP', moved: 'moved, MB' }
      return [
        ...[name, axis, points.map(({ size }) => size).join(', '), { ...label, ...counted }[what]],
        ...[points.map((point) => show(point[what])).join(', '), e(all), e(last)],
        `${expected}${above ? ', which it is above' : ''}`,
      ]
    }),
  )

/** Growth since the smallest size, measured and as the mathematics has it. */
const chartOf = ({ name, axis, points, fits: { time: t, memory: m } }) => {
  const grown = (what) => points.map((point) => point[what] / points[0][what])
  const ideal = (power) => points.map(({ size }) => (size / points[0].size) ** power)
  const label = (what, { fitted: all, expected }) => `${what}, e = ${e(all)} (at most ${expected})`
  const dashed = (power) => ({
    label: `size^${power}`,
    y: ideal(power),
    colour: 'third',
    dashed: true,
  })
  return {
    title: `${name} by ${axis}: times the smallest size's`,
    xLabel: axis,
    x: points.map(({ size }) => size),
    ...{ logarithmic: true, logarithmicY: true },
    curves: [
      { label: label('time', t), y: grown('time'), colour: 'strong' },
      { label: label('memory', m), y: grown('memory'), colour: 'second' },
      ...[...new Set([t.expected, m.expected])].map(dashed),
    ],
  }
}

const probe = await openGpu(flags.adapter ? { adapter: flags.adapter } : {})
const { software } = probe
const { description, device } = probe.device.adapterInfo
probe.destroy()
const found = []
for (const one of chosen) found.push(await fitted(one, software))
const about = environment()
const adapter = description || device
const typed = ['node bench/scale.js', ...process.argv.slice(2)].join(' ')
const results = { command: typed, adapter, software, environment: about, series: found }
const out = flags.out ?? fileURLToPath(new URL('out', import.meta.url))
mkdirSync(out, { recursive: true })
writeFileSync(join(out, 'scale.json'), JSON.stringify(results, null, 2))
const html = page({
  title: 'How cost grows',
  figures: [],
  settings: [
    ...found.map(({ name, axis, why }) => [`${name} by ${axis}`, why]),
    ['adapter', adapter],
    ['command', typed],
    ['kindred', about.kindred],
    ['date', about.date],
  ],
  charts: found.map(chartOf),
})
writeFileSync(join(out, 'scale.html'), html)
const head = ['what', 'grows', 'sizes', 'of it', 'values', 'exponent', 'last two', 'at most']
if (flags.json) console.log(JSON.stringify(results))
else {
  console.log(`${adapter}, kindred ${about.kindred}, ${about.date}\n${typed}\n`)
  console.log(`${table([head, ...lines(found, software)], flags)}\n`)
  console.log(`plotted in ${join(out, 'scale.html')}`)
}
if (found.some(({ fits }) => Object.values(fits).some(({ above }) => above))) process.exitCode = 1
