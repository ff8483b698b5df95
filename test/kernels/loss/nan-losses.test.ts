// Tests NaN and infinity in contrastive losses, with the kernels of software adapters and of GPUs.
// similarity/tiles.test.ts and nce-maps.test.ts test those of tensor cores, because they compile
// them anyway.

import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { clipLoss } from '../../../kernels/loss/clip-loss.ts'
import { dcl, dclw } from '../../../kernels/loss/dcl.ts'
import { infoNce } from '../../../kernels/loss/infonce.ts'
import { nceMaps } from '../../../kernels/loss/nce-maps.ts'
import { ntXent } from '../../../kernels/loss/ntxent.ts'
import { sigLip } from '../../../kernels/loss/siglip.ts'
import { supCon } from '../../../kernels/loss/supcon.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { KeyQueue } from '../../../models/key-queue.ts'
import { random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { contrastiveLosses, spreads } from '../../fixtures/nan-losses.ts'

const [test, full] = quickAndFull(gpuSuite('NaN in losses'))
const onF16 = needing('shader-f16', test, full)

/** Registers what a variant claims: those GPU kernels are quick that other quick tests compile
 *  anyway. */
const by = (name: string, variant: string) =>
  variant === '' || (variant === ', GPU kernels' && (name === 'ntXent' || name === 'infoNce'))
    ? test
    : variant.includes('f16')
      ? onF16
      : full

for (const name of ['ntXent', 'dcl', 'clipLoss', 'supCon', 'sigLip', 'infoNce'] as const) {
  // f16 without matrices differs from the GPU's other kernels in what is staged alone
  const others = name === 'ntXent' || name === 'infoNce' ? (['f16 without matrices'] as const) : []
  for (const [variant, apply] of contrastiveLosses[name].by(['GPU kernels', ...others]))
    by(name, variant)(
      `${name}: NaN in any input makes the loss and its gradients NaN${variant}`,
      ({ gpu }) => spreads(gpu, contrastiveLosses[name], apply),
    )
}

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, v, c) => sum + v * (b[c] ?? 0), 0)

/** torch.logsumexp. */
function logSumExp(x: readonly number[]) {
  const top = Math.max(...x)
  if (Math.abs(top) === Infinity) return top
  return top + Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0))
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** Losses of unit rows [N, D] at T = 1, by their papers' formulas, as torch computes them: the
 *  cross entropy of infinite logits is NaN. */
const references = {
  ntXent: (rows: readonly number[][], N: number) => {
    const of = rows.map((row, i) => {
      const s = rows.map((other) => dot(row, other))
      return logSumExp(s.filter((_, j) => j !== i)) - (s[(i + N) % (2 * N)] ?? NaN)
    })
    return of.reduce((a, b) => a + b) / (2 * N)
  },
  dcl: (rows: readonly number[][], N: number) => {
    const of = rows.map((row, i) => {
      const s = rows.map((other) => dot(row, other))
      return logSumExp(s.filter((_, j) => j % N !== i % N)) - (s[(i + N) % (2 * N)] ?? NaN)
    })
    return of.reduce((a, b) => a + b) / (2 * N)
  },
  infoNce: (rows: readonly number[][], N: number) => {
    const keys = rows.slice(N)
    const of = rows.slice(0, N).map((row, n) => {
      const s = [keys[n] ?? [], ...keys].map((other) => dot(row, other))
      return logSumExp(s) - (s[0] ?? NaN)
    })
    return of.reduce((a, b) => a + b) / N
  },
  sigLip: (rows: readonly number[][], N: number) => {
    const of = rows.slice(0, N).map((row, n) =>
      rows
        .slice(N)
        .map((other, m) => softplus((n === m ? -1 : 1) * dot(row, other)))
        .reduce((a, b) => a + b),
    )
    return of.reduce((a, b) => a + b) / N
  },
}

test('infinite similarities give what torch gives, or NaN, and never a finite loss where that has none', async ({
  gpu,
}) => {
  const unit = { normalized: true }
  const zero = gpu.tensor([0], [])
  const apply = {
    ntXent: (a: Tensor, b: Tensor) => ntXent(a, b, 1, unit),
    dcl: (a: Tensor, b: Tensor) => dcl(a, b, 1, unit),
    infoNce: (a: Tensor, b: Tensor) => infoNce(a, b, b, 1, unit),
    sigLip: (a: Tensor, b: Tensor) => sigLip(a, b, zero, zero, unit),
  }
  for (const name of ['ntXent', 'dcl', 'infoNce', 'sigLip'] as const)
    for (const bad of [Infinity, -Infinity])
      for (const places of [[0], [3], [1, 3], [2, 3], [0, 2]])
        for (const D of [1, 2]) {
          const rows = Array.from({ length: 4 }, (_, i) =>
            Array.from({ length: D }, (__, c) =>
              places.includes(i) && c === 0 ? bad : 0.5 + i / 4 - c,
            ),
          )
          const [a, b] = [rows.slice(0, 2).flat(), rows.slice(2).flat()].map((v) =>
            gpu.tensor(v, [2, D]),
          )
          if (!a || !b) throw new Error('no inputs')
          const [loss = 0] = await gpu.read(apply[name](a, b))
          const expected = references[name](rows, 2)
          const what = `${name}, ${bad} in rows ${places.join()} of ${D} numbers: got ${loss}, torch has ${expected}`
          if (Number.isFinite(expected)) assert.ok(!(Math.abs(loss - expected) > 1e-5), what)
          else assert.ok(!Number.isFinite(loss), what)
        }
})

test('NaN stays where there is nothing to contrast with', async ({ gpu }) => {
  const [a, b] = [gpu.tensor([1, NaN], [1, 2]), gpu.tensor([2, 1], [1, 2])]
  for (const loss of [
    ntXent(a, b, 1),
    ntXent(b, a, 1),
    dcl(a, b, 1),
    clipLoss(a, b, 1),
    supCon(a, b, [0], 1),
  ]) {
    assert.equal([...(await gpu.read(loss))], [NaN])
    assert.ok((await gpu.read(gpu.backward(loss).of(a) ?? b)).every(Number.isNaN))
  }
})

test('nceMaps: NaN makes the penalty NaN; infinity makes it infinite, and its scores those at the clip', async ({
  gpu,
}) => {
  const at = async (bad: number, i: number) => {
    const [sources, maps] = [random(6, 1), random(6, 2)].map((v, input) =>
      input === i ? v.with(2, bad) : v,
    )
    if (!sources || !maps) throw new Error('no inputs')
    const { loss, penalty } = nceMaps(gpu.tensor(sources, [2, 3]), gpu.tensor(maps, [2, 1, 3]), {
      clip: 2,
    })
    const score = (n: number, m: number) =>
      2 *
      Math.tanh(
        dot(sources.slice(3 * n, 3 * n + 3), maps.slice(3 * m, 3 * m + 3)) / Math.sqrt(3) / 2,
      )
    const expected = (softplus(score(0, 1) - score(0, 0)) + softplus(score(1, 0) - score(1, 1))) / 2
    return [...(await gpu.read(loss)), ...(await gpu.read(penalty)), expected]
  }
  // by tiles in workgroup memory, as GPUs have, both may be NaN
  const inPlain = gpu.run.software && gpu.run.subgroupSize >= 8
  for (const i of [0, 1]) {
    assert.equal(await at(NaN, i), [NaN, NaN, NaN])
    for (const bad of [Infinity, -Infinity]) {
      const [loss = NaN, penalty, expected = NaN] = await at(bad, i)
      if (!inPlain && Number.isNaN(loss) && Number.isNaN(penalty)) continue
      assert.ok(
        Math.abs(loss - expected) < 1e-5,
        `${bad} in input ${i}: got ${loss}, expected ${expected}`,
      )
      assert.is(penalty, Infinity)
    }
  }
})

test('dclw: NaN in one row is in all weights', async ({ gpu }) => {
  const a = gpu.tensor([...random(11, 4), NaN], [4, 3])
  const b = gpu.tensor(random(12, 3), [4, 3])
  const loss = dclw(a, b, 0.2)
  assert.equal([...(await gpu.read(loss))], [NaN])
  assert.ok((await gpu.read(gpu.backward(loss).of(b) ?? b)).every(Number.isNaN))
})

test('an infinite loss is infinite in the mean, wherever it stands', async ({ gpu }) => {
  for (const at of [0, 1]) {
    const logits = [0, 0]
    logits[at] = -Infinity
    const q = gpu.tensor(logits, [2, 1])
    const found = infoNce(q, gpu.tensor([1, 1], [2, 1]), gpu.tensor([0, 0], [2, 1]), 1, {
      normalized: true,
    })
    assert.ok(!Number.isFinite((await gpu.read(found))[0]))
  }
})

for (const poisoned of ['queue', 'query'] as const)
  test(`a loss scaler notices NaN in the ${poisoned}, and training goes on after it`, async ({
    gpu,
  }) => {
    const w = gpu.variable(random(32, 1), [4, 8])
    const queue = new KeyQueue(gpu, { K: 6, C: 8, seed: 1 })
    const optimizer = new Sgd({ w })
    const scaler = new LossScaler(gpu, { scale: 8 })
    const step = (shift: number) =>
      gpu.step(() => {
        const q = add(w, gpu.tensor([shift], [1]))
        const loss = infoNce(q, gpu.tensor(random(32, 2), [4, 8]), queue.keys, 0.2)
        optimizer.step(gpu.backward(loss, scaler.scale), 0.1, scaler)
      })
    const before = [...(await gpu.read(w))]
    const keys = await gpu.read(queue.keys)
    if (poisoned === 'queue')
      gpu.write(
        queue.keys,
        keys.map((v, i) => (i === 11 ? NaN : v)),
      )
    step(poisoned === 'query' ? NaN : 0)
    assert.equal([...(await gpu.read(w))], before)
    assert.equal([...(await gpu.read(scaler.scale))], [4])
    gpu.write(queue.keys, keys)
    step(0)
    assert.not.equal([...(await gpu.read(w))], before)
    assert.ok((await gpu.read(w)).every(Number.isFinite))
    assert.equal([...(await gpu.read(scaler.scale))], [4])
  })

test.run()
