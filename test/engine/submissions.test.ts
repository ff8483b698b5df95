// With a budget, work is submitted in pieces, in the order of the calls, to the same bits.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Cost } from '../../engine/cut.ts'
import { Submissions, type Work } from '../../engine/submissions.ts'

const test = suite('submissions')

/** A queue that notes what is submitted, and is done with a piece when it is told so. */
function fakeQueue(budget: number | null) {
  const log: string[] = []
  const waiting: (() => void)[] = []
  const queue = {
    writeBuffer: (_: unknown, offset: number, bytes: Uint8Array) =>
      log.push(`write ${offset}: ${[...bytes].join()}`),
    onSubmittedWorkDone: () => new Promise<void>((resolve) => waiting.push(resolve)),
  } as unknown as GPUQueue // what submissions ask of it
  const waits = { open: 0 }
  const submissions = new Submissions(
    queue,
    ({ commands }) => {
      log.push(commands.map((one) => (one as unknown as Named).name).join(' '))
      return Promise.resolve(null)
    },
    () => {
      waits.open++
      return () => void waits.open--
    },
  )
  submissions.budget = budget
  const done = async () => {
    waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const taken = () => log.splice(0)
  return { submissions, done, taken, waiting, log, waits }
}

interface Named {
  readonly name: string
  readonly cost: Cost
}

const work = (...commands: readonly (readonly [name: string, ms: number])[]): Work =>
  ({
    commands: commands.map(([name, ms]) => ({ kind: 'copy', name, cost: { ms } })),
    label: { label: '' },
    timer: null,
  }) as unknown as Work // the fake encodes nothing

const buffer = {} as GPUBuffer

test('commands wait for a kernel that is compiled in the background, in their order', async () => {
  let end = () => {}
  const ready = new Promise<void>((resolve) => {
    end = resolve
  })
  const pipeline: { compiled: object | null; ready: Promise<void> } = { compiled: null, ready }
  const { submissions, done, taken, waits } = fakeQueue(8)
  const compiling = { kind: 'dispatch', name: 'b', cost: { ms: 1 }, pipeline }
  const { commands, ...rest } = work(['a', 1], ['c', 1])
  const [a, c] = commands
  void submissions.add({ ...rest, commands: [a, compiling, c] as unknown as Work['commands'] })
  submissions.write(buffer, 4, Uint8Array.of(1))
  assert.equal(taken(), ['a'])
  await done()
  assert.equal([taken(), waits.open > 0], [[], true])
  pipeline.compiled = {}
  end()
  await ready.then().then()
  assert.equal(taken(), ['b c', 'write 4: 1'])
  await done()
  assert.is(waits.open, 0)
  pipeline.compiled = null
  void submissions.add({ ...rest, commands: [compiling] as unknown as Work['commands'] })
  submissions.finish() // waits for nothing: what submits compiles
  assert.equal(taken(), ['b'])
})

test('without a budget everything goes at once', () => {
  const { submissions, taken } = fakeQueue(null)
  void submissions.add(work(['a', NaN], ['b', 100]))
  submissions.write(buffer, 4, Uint8Array.of(1, 2))
  submissions.call(() => submissions.write(buffer, 8, Uint8Array.of(3)))
  assert.equal(taken(), ['a b', 'write 4: 1,2', 'write 8: 3'])
  assert.not(submissions.isWaiting)
})

test('with a budget two pieces are on their way, and each that is done lets one more go', async () => {
  const { submissions, done, taken, waits } = fakeQueue(8)
  void submissions.add(work(['a', 5], ['b', 5], ['c', 3], ['d', 9], ['e', 1]))
  assert.equal(taken(), ['a', 'b c'])
  assert.is(waits.open, 2)
  await done()
  assert.equal(taken(), ['d'])
  await done()
  assert.equal(taken(), ['e'])
  await done()
  await done()
  assert.equal(taken(), [])
  assert.not(submissions.isWaiting)
  assert.is(waits.open, 0)
})

test('small work shares a piece, and what comes between keeps its place', async () => {
  const { submissions, done, taken, waiting, log } = fakeQueue(8)
  const bytes = Uint8Array.of(7)
  void submissions.add(work(['a', 8], ['b', 8], ['c', 3]))
  submissions.write(buffer, 0, bytes)
  bytes[0] = 9 // the bytes are those at the time of the call
  void submissions.add(work(['d', 3]))
  submissions.call(() => log.push('called'))
  void submissions.add(work(['e', 3]))
  assert.equal(taken(), ['a', 'b'])
  await done()
  assert.equal(taken(), ['c', 'write 0: 7', 'd', 'called'])
  assert.is(waiting.length, 2)
  await done()
  assert.equal(taken(), ['e'])
})

test('what is not measured goes alone, and is measured', async () => {
  const { submissions, done, taken } = fakeQueue(1000)
  const one = work(['a', NaN], ['b', NaN])
  void submissions.add(one)
  assert.equal(taken(), ['a', 'b'])
  await done()
  await done()
  for (const { cost } of one.commands) assert.ok(cost.ms > 0)
  void submissions.add(one)
  assert.equal(taken(), ['a b'])
})

test('finish submits what waits in pieces of the budget, and what comes next waits for them', async () => {
  const { submissions, done, taken, waiting } = fakeQueue(8)
  const all = work(['a', 8], ['b', 8], ['c', 4], ['d', 4], ['e', 8], ['f', NaN])
  void submissions.add(all)
  submissions.write(buffer, 0, Uint8Array.of(1))
  submissions.finish()
  assert.equal(taken(), ['a', 'b', 'c d', 'e', 'f', 'write 0: 1'])
  assert.is(waiting.length, 3) // of a, of b, and of the rest together
  void submissions.add(work(['g', 1]))
  assert.equal(taken(), [])
  await done()
  await done()
  assert.equal(taken(), ['g'])
  await done()
  for (const { cost } of all.commands) assert.ok(cost.ms > 0)
})

test('without a budget again, and by finish, what waits goes at once', () => {
  for (const end of ['budget', 'finish']) {
    const { submissions, taken } = fakeQueue(8)
    void submissions.add(work(['a', 8], ['b', 8], ['c', 8], ['d', NaN]))
    submissions.write(buffer, 0, Uint8Array.of(1))
    taken()
    if (end === 'budget') submissions.budget = null
    else submissions.finish()
    assert.equal(taken().join(' '), 'c d write 0: 1')
    assert.not(submissions.isWaiting)
  }
})

test('dropped work is not submitted, and who waits for it is told', async () => {
  const { submissions, done, taken } = fakeQueue(8)
  const report = submissions.add(work(['a', 8], ['b', 8], ['c', 8]))
  submissions.write(buffer, 0, Uint8Array.of(1))
  let called = 0
  submissions.call(() => called++)
  taken()
  submissions.drop()
  assert.is(await report, null)
  assert.is(called, 1)
  await done()
  await done()
  assert.equal(taken(), [])
})

test.run()
