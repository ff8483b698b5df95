// Tests how commands are printed.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { program, quoted, resumeCommand } from '../../cli/command.ts'
import { printable } from '../../kernels/printable.ts'

const test = suite<{ dir: string }>('command')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-command-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

test('has words that a shell reads as they are', () => {
  const words = ['runs/a', 'my run', "it's", '$HOME', '~', '*', '', '-', 'ü', 'a\\b', '"', '#', '!']
  const line = words.map((word) => quoted(word, 'linux')).join(' ')
  const read = execFileSync('sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' })
  assert.equal(read.split('\0').slice(0, -1), words)
  assert.is(quoted('runs/a', 'linux'), 'runs/a')
  assert.is(quoted('my run', 'win32'), '"my run"')
})

test('goes on with a run whatever its name', () => {
  assert.is(resumeCommand('simclr', 'runs/a'), 'npx kindred train simclr --resume runs/a')
  assert.is(
    resumeCommand('moco', 'my run', '--lr', '1e-3'),
    "npx kindred train moco --resume 'my run' --lr 1e-3",
  )
  assert.is(resumeCommand('moco', '-a'), 'npx kindred train moco --resume ./-a')
})

test('spells what a terminal obeys so that a shell reads it back', () => {
  const name = "a\u001b[2J\n\u009b\u202e1'\\x9b ü"
  const word = quoted(name, 'linux')
  assert.is(word, "$'a\\x1b[2J\\x0a\\xc2\\x9b\\xe2\\x80\\xae1\\'\\\\x9b ü'")
  assert.is(printable(word), word)
  assert.is(execFileSync('bash', ['-c', `printf %s ${word}`], { encoding: 'utf8' }), name)
})

test('begins with what is found where it is typed', ({ dir }) => {
  const outside = { cwd: dir, env: {} }
  assert.equal(program('/usr/bin/kindred', outside), ['kindred'])
  assert.equal(program('C:/npm/kindred.cmd', outside), ['kindred'])
  assert.equal(program('/x/dist/cli/kindred.js', outside), ['node', '/x/dist/cli/kindred.js'])
  assert.equal(program('/x/node_modules/.bin/kindred', outside), [
    'node',
    '/x/node_modules/.bin/kindred',
  ])
  const npx = { cwd: dir, env: { npm_command: 'exec' } }
  assert.equal(program('/x/node_modules/.bin/kindred', npx), ['npx', 'kindred'])
})

test('is by npx in a checkout, and in a project that has it', ({ dir }) => {
  const [checkout, project] = [join(dir, 'checkout'), join(dir, 'project')]
  mkdirSync(join(checkout, 'docs'), { recursive: true })
  writeFileSync(
    join(checkout, 'package.json'),
    '{"name":"kindred","bin":{"kindred":"./kindred.js"}}',
  )
  const script = join(checkout, 'kindred.js')
  writeFileSync(script, '')
  assert.equal(program(script, { cwd: dir, env: {} }), ['node', 'checkout/kindred.js'])
  assert.equal(program(script, { cwd: join(checkout, 'docs'), env: {} }), ['npx', 'kindred'])
  mkdirSync(join(project, 'node_modules/.bin'), { recursive: true })
  writeFileSync(join(project, 'node_modules/.bin/kindred'), '')
  assert.equal(program(script, { cwd: project, env: {} }), ['npx', 'kindred'])
})

test.run()
