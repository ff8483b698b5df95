// Checks augmentation on the GPU against float64, then times it for each recipe, beside torchvision
// and kornia. `node bench/augment.js --help` explains the output.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { augmented } from './augment/reference.js'
import { environment, torchHere } from './lib/environment.js'
import { digits } from './lib/numbers.js'
import { count } from './lib/options.js'
import { copyRate, time } from './lib/peaks.js'
import { uniform } from './lib/random.js'
import { table } from './lib/table.js'
import { isSoftware } from './lib/waiting.js'
import * as kindred from '../dist/node.js'

const { augment, cifarRecipe, drawAugmentations, imagenetRecipe, unpackAugmentations } = kindred

const flags = new Command('augment')
  .description('Time augmentation: images per second and bytes, by recipe and size.')
  .option(
    '--batch <n>',
    'images (default: 512 of 32 px, 256 of 96, 128 of 224; on a CPU adapter an eighth)',
    count,
  )
  .option('--runs <n>', 'timed batches (default: 3 on a CPU adapter, else 9)', count)
  .option('--no-torch', 'without torchvision and kornia')
  .option('--only-torch', 'time torchvision and kornia alone')
  .option('--python <program>', 'the interpreter that has torch, with CUDA', 'python3')
  .option('--adapter <name>', "part of the GPU's name")
  .option('--verify-only', 'check against float64 and time nothing')
  .option('--json', 'print the results as JSON and nothing else')
  .option('--markdown', 'print the table as Markdown, for bench/RESULTS.md')
  .addHelpText(
    'after',
    `
Prints the adapter, its copy rate, and a row per recipe: median time (min..max) for one view of a
batch, images/s, GB/s, and the share of the copy rate. GB/s counts only what the task needs: the
images' bytes read once and the views' floats written once. Passes that read them again lower it.
Kindred makes 16 views a step (1 on a CPU adapter), so that JavaScript's time does not count. Times
are wall time over batches of calls of about 100 ms; on a CPU adapter they are CPU time. The exit
code is 1 if a view differs from its reference.`,
  )
  .parse()
  .opts()

const sharp = (size) => {
  const { blur: _, ...recipe } = imagenetRecipe(size)
  return recipe
}

/** Timed cases: name, side of the images, recipe, batch. */
const PROBLEMS = [
  ['CIFAR, 32 px', 32, cifarRecipe(32), 512],
  ['CIFAR, 96 px', 96, cifarRecipe(96), 256],
  ['ImageNet, 224 px of 256, no blur', 256, sharp(224), 128],
  ['ImageNet, 224 px of 256, blur', 256, imagenetRecipe(224), 128],
].map(([name, side, recipe, N]) => ({ name, side, recipe, N, kernel: kernelOf(recipe) }))

/** Small cases that reach every branch of the kernels. */
const CHECKS = [
  { side: 32, recipe: cifarRecipe(32), N: 24 },
  { side: 13, recipe: cifarRecipe(9), N: 24 },
  { side: 21, recipe: sharp(24), N: 24 },
  { side: 32, recipe: imagenetRecipe(33), N: 12 },
  { side: 48, recipe: imagenetRecipe(64), N: 6 },
].map((check) => ({ ...check, kernel: kernelOf(check.recipe) }))

const TOLERANCE = 2e-5 // of values up to 1; times 1 / std if normalised; the tests have the same

/** Returns the size of the blur, a tenth of the height made odd, as in google-research/simclr. */
function kernelOf({ blur, size }) {
  return blur ? Math.max(3, 2 * Math.floor(size / 20) + 1) : 0
}

const bytesOf = (N, side) =>
  Uint8Array.from(uniform(N * side * side * 3, 1), (v) => Math.floor((v + 1) * 128))
const at = (view) => ({ seed: 5, step: 3, view })

/** Computes the largest difference between views and their reference over all checks. */
async function verify(gpu) {
  const worst = []
  for (const { side, recipe, N, kernel } of CHECKS) {
    const bytes = bytesOf(N, side)
    const images = gpu.tensor(bytes, [N, side, side, 3])
    const rows = unpackAugmentations(await gpu.read(drawAugmentations(images, recipe, at(1))))
    const got = await gpu.read(augment(images, recipe, at(1)))
    const { size, normalize } = recipe
    const options = { size: [size, size], kernel, normalize }
    const [image, view] = [side * side * 3, size * size * 3]
    let error = 0
    for (const [n, row] of rows.entries()) {
      const expected = augmented(
        bytes.subarray(n * image, (n + 1) * image),
        [side, side],
        row,
        options,
      )
      const scale = normalize ? Math.max(...normalize.std.map((s) => 1 / s)) : 1
      for (const [i, value] of expected.entries()) {
        const off = Math.abs(got[n * view + i] - value) / scale
        error = off <= error ? error : off // NaN stays
      }
    }
    worst.push({ name: `${side} px to ${size}, blur ${kernel}`, error, passed: error <= TOLERANCE })
  }
  return worst
}

async function timeOurs(gpu, { software, runs }, problem) {
  const { side, recipe, N } = problem
  const images = gpu.variable(bytesOf(N, side), [N, side, side, 3])
  const views = software ? 1 : 16
  const captured = gpu.capture((x) => {
    let last
    for (let view = 0; view < views; view++) last = augment(x, recipe, at(view))
    return last
  })
  for (let i = 0; i < 3; i++) captured.run(images)
  if (captured.replays !== 1) throw new Error(`augmentation was not replayed: ${captured.reason}`)
  const found = await time(() => captured.run(images), { software, runs })
  captured.release()
  await gpu.check()
  const [median, min, max] = [found.median, found.min, found.max].map((ms) => ms / views)
  return { by: 'kindred', ms: { median, min, max } }
}

/** Runs the program of torchvision and kornia, and parses its lines of JSON. */
function timeTheirs(problems) {
  const { missing } = flags.torch ? torchHere(flags.python) : { missing: '--no-torch' }
  if (missing) {
    process.stderr.write(`without torchvision and kornia: ${missing}\n`)
    return []
  }
  const program = fileURLToPath(new URL('torch/augment.py', import.meta.url))
  const out = execFileSync(flags.python, [program, JSON.stringify(problems)], { encoding: 'utf8' })
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** Adds images/s, GB/s and the share of the copy rate to a time. */
function rated({ index, by, ms, missing }, problem, copy) {
  const { side, recipe, N, name } = problem
  if (missing) return { index, name, N, by, missing }
  const bytes = N * 3 * (side ** 2 + 4 * recipe.size ** 2)
  const gbps = bytes / ms.median / 1e6
  return {
    index,
    name,
    N,
    by,
    ms,
    imagesPerSecond: (1000 * N) / ms.median,
    gbps,
    ofCopy: gbps / copy,
  }
}

const HEAD = ['recipe', 'batch', 'by', 'ms a view', '(min..max)', 'images/s', 'GB/s', 'of copy']

const cells = ({ name, N, by, ms, imagesPerSecond, gbps, ofCopy, missing }) =>
  missing
    ? [name, String(N), by, missing]
    : [
        ...[name, String(N), by, digits(ms.median), `${digits(ms.min)}..${digits(ms.max)}`],
        ...[digits(imagesPerSecond), digits(gbps), `${digits(100 * ofCopy)} %`],
      ]

const gpu = await kindred.openGpu(flags.adapter ? { adapter: flags.adapter } : {})
const info = gpu.device.adapterInfo
const software = isSoftware(info)
const checks = flags.onlyTorch ? [] : await verify(gpu)
const wrong = checks.filter(({ passed }) => !passed)
for (const { name, error } of wrong)
  process.stderr.write(`WRONG: ${name}: off by ${digits(error)}\n`)
const most = digits(Math.max(0, ...checks.map(({ error }) => error)))
process.stderr.write(
  `verified ${checks.length - wrong.length} of ${checks.length} against float64; off by at most ${most}\n`,
)
if (wrong.length > 0) process.exitCode = 1
else if (!flags.verifyOnly) {
  const options = { software, runs: flags.runs ?? (software ? 3 : 9) }
  const problems = PROBLEMS.map((p) => ({ ...p, N: flags.batch ?? p.N / (software ? 8 : 1) }))
  const copy = await copyRate(gpu, options)
  const rows = []
  for (const [index, problem] of flags.onlyTorch ? [] : problems.entries())
    rows.push(rated({ index, ...(await timeOurs(gpu, options, problem)) }, problem, copy))
  for (const row of timeTheirs(problems)) rows.push(rated(row, problems[row.index], copy))
  rows.sort((a, b) => a.index - b.index)
  const about = environment()
  const command = `node bench/augment.js ${process.argv.slice(2).join(' ')}`.trim()
  const adapter = `${info.device || info.description || info.architecture} (${info.description})`
  if (flags.json)
    console.log(
      JSON.stringify({ command, environment: about, adapter, copy, checks, rows }, null, 2),
    )
  else
    console.log(
      `${adapter}, ${about.dawn}, Node ${about.node}, ${about.date}; kindred ${about.kindred}\n${command}\ncopy ${digits(copy)} GB/s\n\n${table([HEAD, ...rows.map(cells)], flags)}`,
    )
}
gpu.destroy()
