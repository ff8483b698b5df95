import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { kindred } from '../fixtures/cli.ts'

test('kindred doctor tells the adapter, in words or as JSON', async () => {
  const words = await kindred('doctor')
  assert.is(words.code, 0, words.err)
  assert.match(words.out, /^kindred +\d+\.\d+\.\d+, Node v\d+/)
  const json = await kindred('doctor', '--json')
  assert.is(json.code, 0, json.err)
  const { adapter, works } = JSON.parse(json.out) as { adapter: string; works: boolean }
  assert.ok(words.out.includes(adapter))
  assert.match(words.out, /^indices checked +yes$/m)
  assert.is(works, true)
})

test('kindred doctor --no-robustness tells that indices are unchecked', async () => {
  const { out, code, err } = await kindred('doctor', '--no-robustness')
  assert.is(code, 0, err)
  assert.match(out, /^indices checked +no$/m)
})

test.run()
