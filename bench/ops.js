// Checks every op and loss against float64 on this device, value and gradient, in every precision
// that it offers. `node bench/ops.js --help` says what is printed.

import { Command, Option } from 'commander'
import { digits } from './lib/numbers.js'
import { list } from './lib/options.js'
import { tolerances } from './lib/verify.js'
import { CASES } from './ops/cases.js'
import { errorsOf } from './ops/check.js'
import * as kindred from '../dist/node.js'

const flags = new Command('ops')
  .description('Check every op and loss against float64 on this device: value and gradient.')
  .option('--precision <list>', 'f32, f16x3, f16 (default: all that the device offers)', list)
  .addOption(
    new Option('--activations <kind>', 'what ops keep for their backward pass')
      .choices(['f32', 'f16'])
      .default('f32'),
  )
  .addOption(
    new Option('--kernels <which>', "'gpu' checks a GPU's kernels on any adapter")
      .choices(['device', 'gpu'])
      .default('device'),
  )
  .option('--only <list>', 'ops by name', list)
  .option('--adapter <name>', "part of the GPU's name")
  .option('--names', 'print the names of the ops that are checked, and check nothing')
  .option('--json', 'print the results as JSON and nothing else')
  .addHelpText(
    'after',
    `
Printed: for each precision how many cases there are, how many passed, and the largest error of a
value and of a gradient, relative to the largest element; then a line for each case that failed.
Products, and what keeps images for its backward pass, may be off by 5e-3 in f16; everything else by
1e-5. The exit code is 1 if a case fails.`,
  )
  .parse()
  .opts()

/** The cases in one precision: { precision, op, about, shapes, value, gradient, passed, error }. */
async function check(gpu, precision) {
  const cases = CASES.filter(({ op }) => !flags.only || flags.only.includes(op))
  const found = []
  for (const one of cases) {
    const { op, about, inputs, rounds } = one
    const kind = rounds && flags.activations === 'f16' ? 'f16' : rounds ? precision : 'f32'
    const most = one.tolerance ?? tolerances[kind]
    const row = { precision, op, about, most, shapes: inputs.map(({ shape }) => shape) }
    try {
      const { value, gradient } = await errorsOf(kindred, gpu, one)
      const passed = value <= most && (gradient ?? 0) <= most // NaN is not
      found.push({ ...row, value, gradient, passed })
    } catch (error) {
      found.push({ ...row, value: NaN, gradient: NaN, passed: false, error: error.message })
    }
  }
  return found
}

/** What is printed of a precision: a summary, and a line for each case that failed. */
function lines(rows) {
  const exact = rows.filter(({ most }) => most < 0.01) // the others are chance
  const worst = (what) => digits(exact.reduce((most, row) => Math.max(most, row[what] ?? 0), 0))
  const bad = rows.filter(({ passed }) => !passed)
  const [good, ops] = [rows.length - bad.length, new Set(rows.map(({ op }) => op)).size]
  const errors = `value ${worst('value')}, gradient ${worst('gradient')}`
  return [
    `${rows[0].precision}: ${good} of ${rows.length} cases of ${ops} ops; largest errors: ${errors}`,
    ...bad.map(wrongLine),
  ]
}

function wrongLine({ op, about, shapes, value, gradient, error }) {
  const what = [op, about].filter(Boolean).join(', ')
  const sizes = shapes.map((shape) => shape.join('x')).join(', ')
  const off = `value off by ${digits(value)}, gradient by ${digits(gradient ?? 0)}`
  return `WRONG: ${what} of ${sizes}: ${error ?? off}`
}

if (flags.names) {
  console.log([...new Set(CASES.map(({ op }) => op))].join('\n'))
} else {
  const base = await kindred.openGpu(flags.adapter ? { adapter: flags.adapter } : {})
  const offered = base.run.f16 ? ['f32', 'f16x3', 'f16'] : ['f32']
  const results = []
  for (const precision of flags.precision ?? offered) {
    const { activations, kernels } = flags
    const gpu = new kindred.Gpu(base.device, { precision, activations, kernels })
    const rows = await check(gpu, precision)
    results.push(...rows)
    const [summary, ...wrong] = lines(rows)
    if (!flags.json) console.log(summary)
    for (const line of wrong) process.stderr.write(`${line}\n`)
  }
  if (flags.json) console.log(JSON.stringify({ activations: flags.activations, results }))
  if (results.some(({ passed }) => !passed)) process.exitCode = 1
  base.destroy()
}
