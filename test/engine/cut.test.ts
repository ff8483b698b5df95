// A step is cut into pieces that take at most the budget, by costs that measured time corrects.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Cost, Costs, learn, pieceEnd } from '../../engine/cut.ts'
import { random } from '../fixtures/check.ts'

const test = suite('cutting a step')

const commandsOf = (costs: readonly number[]) => costs.map((ms) => ({ cost: { ms } }))

/** Cuts all commands into pieces, as lists of their costs. */
function cut(costs: readonly number[], budget: number, most = 1000): number[][] {
  const commands = commandsOf(costs)
  const pieces: number[][] = []
  for (let start = 0; start < costs.length;) {
    const end = pieceEnd(commands, start, { room: budget, most, isFirst: true })
    pieces.push(costs.slice(start, end))
    start = end
  }
  return pieces
}

const total = (costs: readonly number[]) => costs.reduce((sum, ms) => sum + ms, 0)

test('no piece takes longer than the budget, unless it is one command, and none could take more', () => {
  for (let seed = 0; seed < 200; seed++) {
    const costs = [...random(40, seed)].map((v) => Math.abs(v) * (seed % 7 ? 3 : 12))
    const budget = 1 + (seed % 10)
    const pieces = cut(costs, budget)
    assert.equal(pieces.flat(), costs)
    for (const [i, piece] of pieces.entries()) {
      if (piece.length > 1) assert.ok(total(piece) <= budget, `${total(piece)} of ${budget}`)
      const next = pieces[i + 1]?.[0]
      if (next !== undefined && total(piece) <= budget)
        assert.ok(total(piece) + next > budget, 'the next command would have fitted')
    }
  }
})

test('a command that was not measured is a piece by itself', () => {
  assert.equal(cut([1, NaN, 1, 1, NaN, NaN], 8), [[1], [NaN], [1, 1], [NaN], [NaN]])
})

test('a piece has at most so many commands, and an unlimited one all of these', () => {
  assert.equal(cut([0, 0, 0, 0, 0], 8, 2), [[0, 0], [0, 0], [0]])
  assert.equal(cut([NaN, 5, NaN], Infinity, 2), [[NaN, 5], [NaN]])
})

test('what does not fit behind other work waits for the next piece', () => {
  const at = { room: 2, most: 10, isFirst: false }
  assert.is(pieceEnd(commandsOf([1, 1, 1]), 0, at), 2)
  assert.is(pieceEnd(commandsOf([3]), 0, at), 0)
  assert.is(pieceEnd(commandsOf([NaN]), 0, at), 0)
})

test('the time of one command is its cost, that of several is divided as before', () => {
  const [a, b]: [Cost, Cost] = [{ ms: NaN }, { ms: 3 }]
  learn([a], 1)
  assert.is(a.ms, 1)
  learn([a, b], 6)
  assert.equal([a.ms, b.ms], [1.5, 4.5])
  learn([a, b, a], 5) // twice in the piece, corrected once
  assert.equal([a.ms, b.ms], [1, 3])
  learn([a, b], 1000) // it waited for something else
  assert.equal([a.ms, b.ms], [2, 6])
  learn([a, b], 0)
  assert.equal([a.ms, b.ms], [1, 3])
  learn([], 5)
  const c: Cost = { ms: NaN }
  learn([b, c], 10) // an equal share for what was not measured
  assert.equal([b.ms, c.ms], [3.75, 6.25])
})

test('costs stay above 0 where the clock shows none', () => {
  const cost = { ms: NaN }
  learn([cost], 0)
  assert.ok(cost.ms > 0)
})

test('costs are kept by key', () => {
  const costs = new Costs()
  costs.of('a').ms = 5
  assert.is(costs.of('a').ms, 5)
  assert.ok(Number.isNaN(costs.of('b').ms))
})

/** Runs steps of commands that truly take `truth`; each piece takes `overhead` besides. Returns
 *  how long the pieces of each step truly took. */
function simulate(truth: readonly number[], budget: number, overhead: number, steps: number) {
  const commands = truth.map(() => ({ cost: { ms: NaN } }))
  return Array.from({ length: steps }, () => {
    const pieces: number[] = []
    for (let start = 0; start < commands.length;) {
      const end = pieceEnd(commands, start, { room: budget, most: 1000, isFirst: true })
      const took = total(truth.slice(start, end))
      pieces.push(took)
      const costs = commands.slice(start, end).map(({ cost }) => cost)
      learn(costs, took + overhead)
      start = end
    }
    return pieces
  })
}

test('the first step measures each command, and later ones fill their budget and keep it', () => {
  const truth = [...random(200, 3)].map((v) => 0.02 + Math.abs(v) * 0.5)
  const steps = simulate(truth, 8, 1, 30)
  assert.is(steps[0]?.length, 200)
  const few = Math.ceil(total(truth) / 8)
  for (const pieces of steps.slice(20)) {
    assert.ok(pieces.length <= 2 * few, `${pieces.length} pieces, where ${few} hold all`)
    assert.ok(Math.max(...pieces) <= 8, `a piece of ${Math.max(...pieces)} ms`)
  }
})

test.run()
