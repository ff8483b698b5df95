// Runs every test built into .test/test, each file as a process of its own, two at a time, and counts what passed.
// A file passes only if its process exits with 0. `npm test -- conv knn` runs the files whose name contains a word.

import { readdirSync } from 'node:fs'
import { spawn } from 'node:child_process'

const words = process.argv.slice(2)
const files = readdirSync('.test/test')
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
const totals = { passed: 0, failed: 0, skipped: 0 }
const queue = [...files]

async function worker() {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const start = performance.now()
    const { code, output } = await run(`.test/test/${file}`)
    const [total, passed, skipped] = ['Total', 'Passed', 'Skipped'].map((k) => sum(output, k))
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const good = code === 0 && total > 0
    totals.passed += passed
    totals.skipped += skipped
    totals.failed += good ? 0 : Math.max(1, total - passed - skipped)
    console.log(
      `${good ? 'ok  ' : 'FAIL'} ${file.replace('.test.js', '').padEnd(24)} ${passed} of ${total}, ${seconds} s`,
    )
    if (!good) console.log(`${output}\n(exit code ${code})`)
  }
}

/** The sum of uvu's counts of one kind over a file's suites. */
function sum(output, kind) {
  // uvu colours its summary; the escape codes stand between words and numbers
  const plain = output.replace(/\u001b\[\d+m/g, '')
  return [...plain.matchAll(new RegExp(`${kind}:\\s+(\\d+)`, 'g'))].reduce(
    (n, [, count]) => n + Number(count),
    0,
  )
}

function run(path) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', path], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }))
  })
}

const start = performance.now()
await Promise.all([worker(), worker()])
const minutes = ((performance.now() - start) / 60000).toFixed(1)
console.log(`\n${files.length} files in ${minutes} minutes`)
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0
