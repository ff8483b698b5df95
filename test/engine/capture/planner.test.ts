import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Need, leastBytes, plan } from '../../../engine/capture/planner.ts'
import { random } from '../../fixtures/check.ts'

const test = suite('planner')
const ALIGN = 256

/** Random needs of a chain of commands, each of which writes one temporary and reads a few earlier
 *  ones. */
function chain(count: number, seed: number): Need[] {
  const draw = random(count * 8, seed).map((v) => (v + 1) / 2)
  const next = () => draw.pop() ?? 0
  const uses = Array.from({ length: count }, (_, i) => [{ command: i, writes: true }])
  for (let i = 1; i < count; i++)
    for (let k = 0; k < 2; k++) {
      const back = next() < 0.2 ? Math.floor(next() * i) : Math.max(0, i - 1 - k)
      uses[back]?.push({ command: i, writes: false })
    }
  return uses.map((of, i) => ({
    bytes: Math.ceil(2 ** (20 * next())),
    uses: of.sort((a, b) => a.command - b.command),
    outlives: i === count - 1,
  }))
}

const end = ({ uses, outlives }: Need) => (outlives ? Infinity : (uses.at(-1)?.command ?? 0))
const start = ({ uses }: Need) => uses[0]?.command ?? 0

for (const seed of [1, 2, 3, 4, 5]) {
  test(`gives no byte to two at a time, and no command a slot to read and write, of chain ${seed}`, () => {
    const needs = chain(150, seed)
    const { placements, slots } = plan(needs, ALIGN)
    for (const [i, a] of needs.entries()) {
      const at = placements[i]
      assert.ok(at)
      if (!at) return
      assert.is(at.offset % ALIGN, 0)
      assert.ok(at.offset + a.bytes <= (slots[at.slot] ?? 0), 'it lies within its slot')
      for (const [j, b] of needs.entries()) {
        const other = placements[j]
        if (j <= i || !other || other.slot !== at.slot) continue
        const together = start(a) <= end(b) && start(b) <= end(a)
        const overlap = at.offset < other.offset + b.bytes && other.offset < at.offset + a.bytes
        assert.not(together && overlap, `${i} and ${j}`)
        for (const use of a.uses)
          for (const { command, writes } of b.uses)
            assert.not(
              use.command === command && use.writes !== writes,
              `command ${command} both reads and writes a slot`,
            )
      }
    }
  })
  test(`needs at most a quarter more than is alive at once, of chain ${seed}`, () => {
    const needs = chain(150, seed)
    const { slots } = plan(needs, ALIGN)
    const bytes = slots.reduce((a, b) => a + b, 0)
    assert.ok(bytes <= 1.25 * leastBytes(needs, ALIGN), `${bytes} for ${leastBytes(needs, ALIGN)}`)
  })
}

test('what outlives the step keeps its place to the end', () => {
  const write = (command: number) => [{ command, writes: true }]
  const kept = { bytes: 512, uses: write(0), outlives: true }
  const later = { bytes: 512, uses: write(5), outlives: false }
  assert.equal(plan([kept, later], ALIGN).slots, [1024])
  assert.equal(
    plan([kept, { ...later, uses: [{ command: 0, writes: false }] }], ALIGN).slots,
    [512, 512],
  )
  assert.equal(plan([{ ...kept, outlives: false }, later], ALIGN).slots, [512])
  assert.is(leastBytes([kept, later], ALIGN), 1024)
})

test.run()
