// Tests when batches begin and what they hold, and who may enter, without a GPU.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Admission } from '../../serving/admission.ts'
import { Batcher } from '../../serving/batcher.ts'
import { Durations } from '../../serving/durations.ts'
import { QueueFullError } from '../../serving/errors.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = suite('batches of a service')

/** A batcher whose batches end when they are told to. */
function held(limits: { readonly maxBatch: number; readonly maxWait: number }) {
  const begun: { readonly items: readonly number[]; readonly end: (error?: Error) => void }[] = []
  const batcher = new Batcher<number, number>(limits, async (items) => {
    await new Promise<void>((resolve, reject) => {
      begun.push({ items, end: (error) => (error ? reject(error) : resolve()) })
    })
    return items.map((item) => 10 * item)
  })
  return { batcher, begun, items: () => begun.map((batch) => batch.items) }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0))
const HOUR = 3_600_000

test('full batches begin at once, two at a time; the rest waits for the end of both', async () => {
  const { batcher, begun, items } = held({ maxBatch: 2, maxWait: HOUR })
  const results = [1, 2, 3, 4, 5, 6, 7].map((item) => batcher.add(item, ''))
  assert.equal(items(), [
    [1, 2],
    [3, 4],
  ])
  begun[0]?.end()
  await turn()
  assert.equal(items().slice(2), [[5, 6]]) // full, beside [3, 4]
  begun[1]?.end()
  begun[2]?.end()
  await turn()
  assert.is(batcher.waiting, 1) // 7 waits for its hour
  batcher.hurry()
  assert.equal(items().slice(3), [[7]])
  begun[3]?.end()
  assert.equal(await Promise.all(results), [10, 20, 30, 40, 50, 60, 70])
})

test('the oldest item of an idle device waits no longer than maxWait', async () => {
  const { batcher, begun, items } = held({ maxBatch: 8, maxWait: 20 })
  const began = performance.now()
  const results = [batcher.add(1, ''), batcher.add(2, '')]
  await turn()
  assert.equal(items(), [])
  while (begun.length === 0) await turn()
  assert.ok(performance.now() - began >= 19)
  const late = batcher.add(3, '') // collected while [1, 2] is computed
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(items(), [[1, 2]])
  begun[0]?.end()
  await Promise.all(results)
  await turn()
  assert.equal(items().slice(1), [[3]]) // it has waited long enough
  begun[1]?.end()
  assert.is(await late, 30)
})

test('a batch waits ten times as long for items on their way', async () => {
  const { batcher, begun, items } = held({ maxBatch: 8, maxWait: 40 })
  batcher.expect(2)
  const began = performance.now()
  const results = [batcher.add(1, '')]
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(items(), [])
  batcher.expect(-1)
  results.push(batcher.add(2, ''))
  while (begun.length === 0) await turn()
  assert.ok(performance.now() - began >= 399)
  assert.equal(items(), [[1, 2]])
  begun[0]?.end()
  batcher.expect(-1) // it will not come
  results.push(batcher.add(3, ''))
  await turn()
  while (begun.length === 1) await turn()
  begun[1]?.end()
  assert.equal(await Promise.all(results), [10, 20, 30])
})

test('callers who ask again are waited for, up to a fifth of their last batch', async () => {
  const { batcher, begun, items } = held({ maxBatch: 4, maxWait: 1 })
  const first = [batcher.add(1, ''), batcher.add(2, ''), batcher.add(3, '')]
  while (begun.length === 0) await turn()
  await new Promise((resolve) => setTimeout(resolve, 1500)) // a fifth of it is 300 ms
  begun[0]?.end()
  await Promise.all(first)
  const again = [batcher.add(1, ''), batcher.add(2, '')]
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.is(begun.length, 1) // the third may come yet
  again.push(batcher.add(3, ''))
  while (begun.length === 1) await turn()
  assert.equal(items()[1], [1, 2, 3])
  await new Promise((resolve) => setTimeout(resolve, 200))
  begun[1]?.end()
  await Promise.all(again)
  const [began, alone] = [performance.now(), batcher.add(1, '')]
  while (begun.length === 2) await turn()
  assert.ok(performance.now() - began >= 39) // nobody else came
  begun[2]?.end()
  await alone
})

test('only items of one kind share a batch', async () => {
  const { batcher, begun, items } = held({ maxBatch: 3, maxWait: 0 })
  const results = [batcher.add(1, 'a'), batcher.add(2, 'b'), batcher.add(3, 'a')]
  while (items().length < 1) await turn()
  begun[0]?.end()
  while (items().length < 2) await turn()
  assert.equal(items(), [[1, 3], [2]])
  begun[1]?.end()
  assert.equal(await Promise.all(results), [10, 20, 30])
})

test('an item that is given up leaves the queue, or its batch goes on for the others', async () => {
  const { batcher, begun, items } = held({ maxBatch: 2, maxWait: 0 })
  const [early, late] = [new AbortController(), new AbortController()]
  const dropped = batcher.add(1, '', early.signal)
  early.abort(new Error('too slow'))
  await refusesAsync(() => dropped, 'too slow')
  const computed = batcher.add(2, '', late.signal)
  const other = batcher.add(3, '')
  assert.equal(items(), [[2, 3]]) // without 1
  late.abort(new Error('gone'))
  await refusesAsync(() => computed, 'gone')
  begun[0]?.end()
  assert.is(await other, 30)
  await refusesAsync(() => batcher.add(4, '', late.signal), 'gone')
})

test('a batch that fails rejects its own items, and the next one begins', async () => {
  const { batcher, begun } = held({ maxBatch: 1, maxWait: 0 })
  const [first, second] = [batcher.add(1, ''), batcher.add(2, '')]
  begun[0]?.end(new Error('broken'))
  await refusesAsync(() => first, 'broken')
  begun[1]?.end()
  assert.is(await second, 20)
  const short = new Batcher<number, number>({ maxBatch: 1, maxWait: 0 }, () => Promise.resolve([]))
  await refusesAsync(() => short.add(1, ''), 'a batch of 1 gave 0 results')
})

test('requests wait in order for room, however small; one that leaves makes way', async () => {
  const door = new Admission('it', 'items', 4)
  const entered: string[] = []
  const enter = (name: string, count: number, signal?: AbortSignal) =>
    door.enter(count, 'wait', signal).then(() => entered.push(name))
  await enter('a', 3)
  const impatient = new AbortController()
  const b = enter('b', 2, impatient.signal)
  const waiting = enter('c', 1)
  assert.is(door.outside, 3)
  await turn()
  assert.equal(entered, ['a']) // c would fit, but b was first
  impatient.abort(new Error('gone'))
  await refusesAsync(() => b, 'gone')
  await waiting
  assert.equal(entered, ['a', 'c'])
  const error = await door.enter(1, 'refuse').catch((e: unknown) => e)
  assert.instance(error, QueueFullError)
  assert.is((error as Error).message, 'it: its queue is full, 4 of 4; try again later')
  await refusesAsync(
    () => door.enter(5, 'wait'),
    'it: a request may have 4 items at most, the length of its queue, got 5; give fewer at a time',
  )
  door.leave(4)
  assert.equal([door.inside, door.outside], [0, 0])
})

test('percentiles are those of the newest durations', () => {
  const durations = new Durations(4)
  assert.equal(durations.percentiles(), { p50: null, p95: null, p99: null, max: null })
  for (const duration of [100, 4, 3, 2, 1]) durations.add(duration)
  assert.equal(durations.percentiles(), { p50: 2, p95: 4, p99: 4, max: 4 })
})

test.run()
