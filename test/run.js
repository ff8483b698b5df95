// Runs the tests built into .test/test, two files at a time, each as a process of its own, and
// counts what passed. A file passes only if its process exits with 0 after uvu's summary.
//
//   npm test                   the quick tests: what every op, loss and method computes
//   npm test -- conv knn       the files whose path contains one of the words
//   npm test -- kernels/       the files of a folder
//   npm run test:full          the others (test/fixtures/full.ts): sweeps over GPUs' kernels
//   npm run test:deep          those of them that take the longest, which CI leaves out
//
// KINDRED_TEST_DEVICE=default runs them on a device with default limits and no optional feature
// (test/fixtures/device.ts).
//
// The last line is always `N passed, N failed, N skipped`.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { spawn } from 'node:child_process'

const limit = 15 // minutes for one file, so that one that hangs ends; no file needs nearly as many
const deep = process.argv.includes('--deep')
const full = deep || process.argv.includes('--full')
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))

/** Files whose full tests take many minutes each, and which CI leaves out: the indices of more
 *  kernels, every pipeline in every compiler. */
const deepFiles = [
  'scripts/compile-all',
  'kernels/in-range-matrices-conv',
  'kernels/in-range-matrices',
  'kernels/in-range-attention',
  'kernels/in-range-gpu',
]

/** The slowest files from an empty shader cache, the slowest first. They start first, so that none
 *  runs alone at the end. Files that are not listed are fast. */
const long = full
  ? [
      'wgpu/wgpu',
      'page/photos',
      'page/photo-accuracy',
      'kernels/in-range-losses',
      'kernels/in-range-conv',
      'engine/robustness',
      'bench/measure',
      'kernels/attention/attention',
      'kernels/conv/conv-norm',
      'precision/golden-f16x3',
      'precision/golden-resnet-f16',
      'kernels/matmul/gemm-tiled',
      'kernels/loss/nan-losses',
      'precision/golden-f16',
      'kernels/loss/nce-maps',
      'kernels/loss/pair-losses',
      'kernels/conv/conv-tiled',
      'kernels/similarity/tiles',
    ]
  : [
      'cli/train-moco',
      'kernels/conv/conv-tiled',
      'cli/train',
      'kernels/loss/nce-maps',
      'kernels/loss/nan-losses',
      'kernels/conv/conv-norm', // after conv-tiled, some of whose kernels it uses
      'methods/method-chunks',
      'kernels/loss/infonce',
      'models/resnet-full',
      'docs',
      'cli/train-amdim',
      'kernels/matmul/gemm-tiled',
      'kernels/loss/pair-losses',
    ]

const rank = (name) => (long.includes(name) ? long.indexOf(name) : long.length)
const all = readdirSync('.test/test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => name.replaceAll('\\', '/').replace('.test.js', ''))
const has = (name, word) => `${name}.test.js`.includes(word)
const unknown = words.filter((word) => !all.some((name) => has(name, word)))
const files = all
  .filter((name) => words.length === 0 || words.some((word) => has(name, word)))
  .filter((name) => !full || hasFull(name))
  .filter((name) => !full || deepFiles.includes(name) === deep)
  .sort((a, b) => rank(a) - rank(b))
const totals = { passed: 0, failed: 0, skipped: 0 }
const queue = [...files]

/** Tells whether a file has tests that only `npm run test:full` runs. */
function hasFull(name) {
  return readFileSync(`test/${name}.test.ts`, 'utf8').includes('/fixtures/full.ts')
}

async function worker() {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const start = performance.now()
    const { ending, output } = await run(`.test/test/${file}.test.js`)
    const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map((kind) =>
      count(output, kind),
    )
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const good = ending === 'exit code 0' && total + skipped > 0
    totals.passed += passed
    totals.skipped += skipped
    totals.failed += good ? 0 : Math.max(1, total - passed) // uvu's total leaves the skipped out
    const left = skipped > 0 ? `, ${skipped} skipped` : ''
    console.log(
      `${good ? 'ok  ' : 'FAIL'} ${file.padEnd(40)} ${passed} of ${total}${left}, ${seconds} s`,
    )
    for (const [why] of output.matchAll(/^skipped: .*$/gm)) console.log(`     ${why}`)
    if (!good) console.log(`${output}\n(${total > 0 ? '' : 'no summary; '}${ending})`)
  }
}

/** One count of the summary that uvu ends a file with: lines such as `  Passed:    3`. */
function count(output, kind) {
  const lines = output.matchAll(new RegExp(`^  ${kind}: +(\\d+)$`, 'gm'))
  return Number([...lines].at(-1)?.[1] ?? 0)
}

/** What a test file printed, and how its process ended. */
function run(path) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', path], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        FORCE_COLOR: '0', // the summary is read as plain text
        KINDRED_TEST_FULL: full ? '1' : '0',
      },
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      resolve({ ending: `killed after ${limit} minutes`, output })
    }, limit * 60_000)
    child.on('error', (error) => resolve({ ending: error.message, output }))
    child.on('exit', () => {
      clearTimeout(late)
      setTimeout(() => {
        child.stdout.destroy() // still open: a process that the test started holds it
        child.stderr.destroy()
        resolve({ ending: 'it left a process behind', output })
      }, 10_000).unref()
    })
    child.on('close', (code, signal) => resolve({ ending: signal ?? `exit code ${code}`, output }))
  })
}

for (const name of long)
  if (!existsSync(`.test/test/${name}.test.js`))
    console.log(`note: test/run.js lists ${name}, and there is no such test`)
const start = performance.now()
await Promise.all([worker(), worker()])
const minutes = ((performance.now() - start) / 60_000).toFixed(1)
console.log(`\n${files.length} files in ${minutes} minutes`)
if (totals.skipped > 0)
  console.log(`skipped: run \`npm run test:full\` for the tests of kernels that only GPUs choose`)
for (const word of unknown) console.log(`no test file's path contains ${word}`)
if (files.length === 0 && unknown.length < words.length)
  console.log('the files with such paths have no full tests; leave out --full or --deep')
if (totals.passed === 0 && totals.failed === 0) totals.failed = 1 // nothing ran
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 ? 1 : 0
