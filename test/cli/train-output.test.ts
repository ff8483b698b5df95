// Tests commands whose output nobody reads, whose terminal closes, or that fail under a program
// that reads their JSON.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, closeSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { onInterrupt } from '../../cli/interrupt.ts'
import { cli, kindred, runCli, signalAfter } from '../fixtures/cli.ts'

const test = suite<{ dir: string }>('output of kindred')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-output-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

// more steps than are made before the test has reacted
const train =
  '--data procedural:32,16 --stem imagenet --width 2 --batch 16 --epochs 999 --json'.split(' ')

/** Runs kindred with standard output into a file descriptor, or a pipe that is closed at its first
 * line. */
function silenced(args: readonly string[], out: number | 'pipe') {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', out, 'pipe'] })
  let err = ''
  child.stderr?.on('data', (chunk) => (err += String(chunk)))
  child.stdout?.once('data', () => child.stdout?.destroy())
  return new Promise<{ code: number | null; err: string }>((tell) =>
    child.on('close', (code) => tell({ code, err: err.replace(/^Warning: .*\n/gm, '') })),
  )
}

const saved = (run: string) => readdirSync(join(run, 'checkpoints')).length > 0

test('into a closed pipe ends the training, saved, with the exit code of SIGPIPE', async ({
  dir,
}) => {
  const run = join(dir, 'pipe')
  const { code, err } = await silenced(['train', 'simclr', ...train, '--out', run], 'pipe')
  assert.is(code, 141, err)
  assert.match(
    err,
    /^kindred: stopped and saved at step \d+ of 1998; go on with: npx kindred train simclr --resume .*pipe\n$/,
  )
  assert.ok(saved(run))
})

test('onto a full disk ends before a run is begun, with an error in words', async ({ dir }) => {
  if (!existsSync('/dev/full')) return
  const run = join(dir, 'full')
  const full = openSync('/dev/full', 'w')
  const { code, err } = await silenced(['train', 'simclr', ...train, '--out', run], full)
  const listed = await silenced(['presets'], full)
  closeSync(full)
  const words = 'kindred: cannot write to standard output: the disk is full\n'
  assert.is(code, 1, err)
  assert.is(err, words)
  assert.not(existsSync(run))
  assert.equal(listed, { code: 1, err: words })
})

test('to a terminal that closes ends as SIGTERM does; waits are announced, steps carry epoch and rate', async ({
  dir,
}) => {
  const begun = ['train', 'simclr', ...train, '--out', join(dir, 'hup')]
  const { code, out } = await runCli(begun, signalAfter(/"step":1,/, 'SIGHUP'))
  assert.is(code, 130)
  assert.match(out, /"text":"stopping after this step and saving"/)
  assert.match(
    out,
    /stopped and saved at step \d+ of 1998; go on with: npx kindred train simclr --resume /,
  )
  const step = JSON.parse(
    out.split('\n').find((line) => line.includes('"event":"step"')) ?? '',
  ) as object
  assert.equal(Object.keys(step).slice(0, 7), [
    'event',
    'step',
    'total',
    'epoch',
    'loss',
    'lr',
    'images',
  ])
  const marks = [
    '"text":"measuring kNN before training"',
    '"text":"before training, kNN',
    '"text":"compiling kernels for the first step, which takes a while the first time"',
    '"event":"step","step":1,',
  ].map((mark) => out.indexOf(mark))
  assert.ok(marks.every((at, i) => at > (marks[i - 1] ?? 0)))
  assert.is(out.split('"text":"compiling').length, 2, 'once')
})

test('of an error as an event spells what a terminal obeys', async () => {
  const name = '/nowhere\u009b2J\u202e'
  const { out } = await kindred('train', 'simclr', '--resume', name, '--json')
  assert.match(out, /^{"event":"error","text":"\/nowhere\\u009b2J\\u202e does not exist; /)
  assert.is((JSON.parse(out) as { text: string }).text.split(' ')[0], name)
})

test('of SIGTERM does not speak of Ctrl-C', () => {
  const notes: string[] = []
  const stop = { requested: false }
  const progress = {
    start() {},
    update() {},
    note: (line: string) => void notes.push(line),
    stop() {},
  }
  const release = onInterrupt(stop, progress)
  process.emit('SIGTERM')
  release()
  process.removeAllListeners('SIGINT')
  assert.equal([stop.requested, notes], [true, ['stopping after this step and saving']])
})

test('is told of errors as events, with the exit code unchanged', async () => {
  const failed = await kindred('train', 'simclr', '--resume', '/nowhere', '--json')
  assert.is(failed.code, 1)
  const text = '/nowhere does not exist; give the --out folder of a training'
  assert.is(failed.out, `${JSON.stringify({ event: 'error', text, code: 1 })}\n`)
  assert.is(failed.err, `kindred: ${text}\n`)
  const usage = await kindred('train', 'moco', '--batch', 'x', '--json')
  assert.is(usage.code, 2)
  assert.is(
    usage.out,
    `${JSON.stringify({ event: 'error', text: '--batch: must be a whole number from 1 on, got x', code: 2 })}\n`,
  )
})

test.run()
