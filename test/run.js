// Runs every test built into .test/test, each file as a process of its own, two at a time, and counts what passed.
// A file passes only if its process exits with 0 after uvu's summary. `npm test -- conv knn` runs the files whose path
// contains a word, `npm test -- kernels/` a folder's. The last line is always `N passed, N failed, N skipped`.

import { readdirSync } from 'node:fs'
import { spawn } from 'node:child_process'

const limit = 15 // minutes for one file; a cold shader cache on a slow machine needs some
const words = process.argv.slice(2)
const files = readdirSync('.test/test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
const totals = { passed: 0, failed: 0, skipped: 0 }
const queue = [...files]

async function worker() {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const start = performance.now()
    const { ending, output } = await run(`.test/test/${file}`)
    const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map((kind) => count(output, kind))
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const good = ending === 'exit code 0' && total > 0
    totals.passed += passed
    totals.skipped += skipped
    totals.failed += good ? 0 : Math.max(1, total - passed) // uvu's total leaves the skipped out
    console.log(
      `${good ? 'ok  ' : 'FAIL'} ${file.replace('.test.js', '').padEnd(40)} ${passed} of ${total}, ${seconds} s`,
    )
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
      env: { ...process.env, FORCE_COLOR: '0' }, // the summary is read as plain text
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

const start = performance.now()
await Promise.all([worker(), worker()])
const minutes = ((performance.now() - start) / 60_000).toFixed(1)
console.log(`\n${files.length} files in ${minutes} minutes`)
if (totals.passed === 0 && totals.failed === 0) totals.failed = 1 // nothing ran: no file has such a name
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 ? 1 : 0
