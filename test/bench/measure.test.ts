// npm run measure, with tiny sizes on the adapter at hand: it runs to its end, keeps what it found
// after each task, and stops when it is told to.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signalAfter } from '../fixtures/cli.ts'
import { quickAndFull } from '../fixtures/full.ts'

interface Task {
  readonly part: string
  readonly name: string
  readonly status: string
  readonly took?: number
  readonly error?: string
  readonly results?: readonly Record<string, unknown>[]
}

const [test, full] = quickAndFull(suite<{ dir: string }>('measure'))
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-measure-'))
})
test.after(({ dir }) => rmSync(dir, { recursive: true }))

/** Runs the command with flags for Node before it. */
function measure(args: readonly string[], flags: readonly string[] = []) {
  const child = spawn(process.execPath, [...flags, 'bench/measure.js', '--tiny', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (err += String(chunk)))
  return new Promise<{ code: number | null; out: string; err: string }>((tell) =>
    child.on('close', (code) => tell({ code, out, err })),
  )
}

const tasksOf = (folder: string) =>
  (JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as { tasks: Task[] }).tasks

full('it checks and measures every part, and writes rows for RESULTS.md', async ({ dir }) => {
  const folder = join(dir, 'all')
  const { code, out, err } = await measure(['--peers', 'none', '--minutes', '60', '--out', folder])
  const tasks = tasksOf(folder)
  assert.equal(
    tasks.filter(({ status }) => status !== 'done').map(({ name, error }) => `${name}: ${error}`),
    [],
  )
  assert.is(code, 0, err)
  const parts = new Set(tasks.map(({ part }) => part))
  assert.equal(
    [...parts],
    ['device', 'check', 'gemm', 'conv', 'losses', 'augment', 'steps', 'training'],
  )
  assert.is(readFileSync(join(folder, 'results.md'), 'utf8').trim(), out.trim())
  const methods = ['simclr', 'supervised', 'moco', 'moco-v3', 'amdim', 'memory-bank', 'end-to-end']
  for (const method of [...methods, 'simclr-training', 'simclr-lars'])
    assert.match(out, new RegExp(`^\\| ${method} \\| .*\\| f32 \\|`, 'm'))
  for (const title of ['Checked against float64', 'Matrix products', 'Losses', 'A short training'])
    assert.ok(out.includes(`### ${title}\n`), title)
  assert.not.match(out, /undefined|NaN|### Failed or not measured/)
  assert.not.ok(existsSync(join(folder, 'results.json.part')))
})

full('a step has its time by the model beside the measured one', async ({ dir }) => {
  const step = tasksOf(join(dir, 'all')).find(({ part }) => part === 'steps')?.results?.[0] as {
    ms: number
    estimate: { flops: number; bytes: number; ms: number }
  }
  assert.ok(step.ms > 0 && step.estimate.ms > 0)
  assert.ok(step.estimate.flops > 1e6 && step.estimate.bytes > 1e6)
})

test('Ctrl-C keeps what was measured', async ({ dir }) => {
  const folder = join(dir, 'stopped')
  const flags = signalAfter(/\[2 of/, 'SIGINT')
  const only = ['--only', 'gemm,steps', '--peers', 'none', '--out', folder]
  const { code, err } = await measure(only, flags)
  assert.is(code, 130)
  assert.match(err, /stopped; results are in /)
  assert.equal(
    tasksOf(folder).map(({ part, status }) => `${part} ${status}`),
    ['device done', 'gemm stopped'],
  )
})

test('a task whose time is up ends with all that it started, and keeps what it printed', () => {
  const sleeper = `
    const { spawn } = require('node:child_process')
    spawn('sleep', ['60'], { stdio: 'inherit' }) // holds the output open
    console.log(JSON.stringify({ found: 1 }))
    process.on('SIGINT', () => process.exit())
    setInterval(() => {}, 1000)`
  const program = `
    const { start } = await import('./bench/measure/run.js')
    const { markdown } = await import('./bench/measure/report.js')
    const task = { part: 'training', name: 'sleep', args: ['--eval', ${JSON.stringify(sleeper)}] }
    const found = await start(task, 1).done
    const tasks = [{ ...task, ...found }]
    const text = markdown({ command: '', started: '', device: null, tasks })
    console.log(JSON.stringify([found.status, found.took, found.results, text]))`
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  )
  const [status, took, results, text] = JSON.parse(stdout || 'null') ?? [stderr]
  assert.is(status, 'out of time')
  assert.ok(took < 30, `${took} s`)
  assert.equal(results, [{ found: 1 }])
  assert.match(text, /### Failed or not measured\n\n- training, sleep: out of time/)
  assert.not.match(text, /### A short training/)
})

test('all parts of ten minutes fit into ten minutes, PyTorch beside them', () => {
  const program = `
    const { first, tasksFor } = await import('./bench/measure/plan.js')
    const device = { software: false, precisions: ['f32', 'f16x3', 'f16'], torch: '2', most: {} }
    const tasks = [first({}), ...tasksFor(device, { peers: 'torch', out: 'out' })]
    console.log(tasks.reduce((sum, { seconds }) => sum + seconds, 0))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  })
  const seconds = Number(stdout)
  assert.ok(seconds > 500 && seconds <= 600, `${seconds} s`)
})

test('what it cannot do is said at once, with exit code 2', () => {
  const refused = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, ['bench/measure.js', ...args], {
      encoding: 'utf8',
    })
    return `${status} ${stderr.trim()}`
  }
  assert.is(
    refused('--data', 'cifar10:no-such-folder'),
    '2 measure: --data cifar10:no-such-folder: there is no no-such-folder; give a folder that is there, or leave it out',
  )
  assert.match(refused('--only', 'speed'), /there is no part 'speed'; name some of check, gemm,/)
  assert.match(refused('--minutes', '-1'), /it must be a number above 0/)
})

test.run()
