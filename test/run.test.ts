// Tests what the runner of the tests says where no file is run.

import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const test = suite('test/run.js')

const run = (...words: readonly string[]) =>
  spawnSync(process.execPath, ['test/run.js', ...words], { encoding: 'utf8' })

test('fails with the reason where no path has a word', () => {
  const { status, stdout } = run('nosuchfile', 'norsuch')
  assert.is(status, 1)
  assert.ok(
    stdout.endsWith(
      "no test file's path contains nosuchfile\nno test file's path contains norsuch\n0 passed, 1 failed, 0 skipped\n",
    ),
    stdout,
  )
})

test('fails with the reason where the files have no full tests', () => {
  const { status, stdout } = run('--full', 'cli/wrapped')
  assert.is(status, 1)
  assert.match(
    stdout,
    /\nthe files with such paths have no full tests; leave out --full or --deep\n/,
  )
})

test.run()
