import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { bankUpdate } from '../../kernels/state/bank-update.ts'
import { drawRows, drawnRows } from '../../kernels/state/draw-rows.ts'
import { nce, similarities } from '../../kernels/loss/nce.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { checkOp, close, random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { dot, unitRows } from '../fixtures/similarities.ts'

const test = gpuSuite('memory bank')

test('slots move towards the batch and stay unit; of an image that comes twice the last counts', async ({
  gpu,
}) => {
  for (const [n, C, indices] of [
    [5, 3, [4, 0, 4]],
    [200, 17, Array.from({ length: 130 }, (_, i) => (i * 7) % 200)],
  ] as const) {
    const rows = unitRows(random(n * C, 1), C, false)
    const features = unitRows(random(indices.length * C, 2), C, false)
    const bank = gpu.variable(rows.flat(), [n, C])
    const before = gpu.stats().dispatches
    gpu.step(() =>
      bankUpdate(
        bank,
        gpu.tensor(features.flat(), [indices.length, C]),
        gpu.tensor(Int32Array.from(indices), [indices.length]),
        0.3,
      ),
    )
    assert.is(gpu.stats().dispatches - before, 1)
    const expected = rows.map((row, slot) => {
      const f = features[indices.lastIndexOf(slot as never)]
      return f
        ? (unitRows(
            row.map((v, c) => 0.3 * v + 0.7 * (f[c] ?? NaN)),
            C,
            false,
          )[0] ?? [])
        : row
    })
    close(await gpu.read(bank), expected.flat(), 1e-6, 'bank')
  }
})

test('negatives are rows drawn uniformly, by seed and step alone', async ({ gpu }) => {
  for (const [n, count] of [
    [7, 3],
    [1, 5],
    [1000, 300],
    [70_000, 65],
  ] as const) {
    const x = gpu.tensor(
      Float32Array.from({ length: n * 2 }, (_, i) => i),
      [n, 2],
    )
    for (const at of [
      { seed: 0, step: 0 },
      { seed: 1, step: 9 },
    ]) {
      const rows = drawnRows(n, count, at)
      assert.equal(
        [...(await gpu.read(drawRows(x, count, at)))],
        rows.flatMap((row) => [2 * row, 2 * row + 1]),
      )
      assert.ok(rows.every((row) => row >= 0 && row < n))
    }
  }
  const counts = Array.from({ length: 10 }, () => 0)
  for (const row of drawnRows(10, 20_000, { seed: 3, step: 4 }))
    counts[row] = (counts[row] ?? 0) + 1
  assert.ok(Math.max(...counts.map((c) => Math.abs(c - 2000))) < 5 * Math.sqrt(2000), counts.join())
  refuses(
    () => drawRows(gpu.tensor([1], [1, 1]), 0, { seed: 0, step: 0 }),
    'drawRows: needs a row, and a count from 1 on, got 0 of 1 rows',
  )
})

for (const [N, C, m] of [
  [1, 1, 1],
  [3, 5, 4],
  [33, 16, 130],
] as const)
  test(`NCE equals Eq. 7 for N = ${N}, C = ${C}, m = ${m}`, ({ gpu }) => {
    const [T, n, logZ] = [0.3, 1000, 2.5]
    const c = logZ + Math.log(m / n)
    const op = (f: Tensor, v: Tensor, noise: Tensor) =>
      nce(similarities(f, v, noise, T), gpu.tensor([c], [1, 1]))
    const reference = (f: number[], v: number[], noise: number[]) => {
      const h = (s: number) => {
        const P = Math.exp(s / T) / Math.exp(logZ)
        return P / (P + m / n)
      }
      const [fs, vs, others] = [f, v, noise].map((x) => unitRows(x, C, true))
      const losses = (fs ?? []).map(
        (row, i) =>
          -Math.log(h(dot(row, vs?.[i] ?? []))) -
          (others ?? []).reduce((sum, other) => sum + Math.log(1 - h(dot(row, other))), 0),
      )
      return [losses.reduce((a, b) => a + b) / N]
    }
    return checkOp(gpu, op, reference, [
      [N, C],
      [N, C],
      [m, C],
    ])
  })

test('Z is n times the mean of exp(s), also where exp(s) would overflow', async ({ gpu }) => {
  const bank = new MemoryBank(gpu, { n: 50, C: 4 })
  const s = random(24).map((v) => 5 * v)
  const mean = s.reduce((a, b) => a + Math.exp(b), 0) / 24
  bank.estimateZ(gpu.tensor(s, [4, 6]))
  close(await gpu.read(bank.logZ), [Math.log(50 * mean)], 1e-6, 'log Z')
  bank.estimateZ(gpu.tensor([100, 100], [1, 2]))
  close(await gpu.read(bank.logZ), [100 + Math.log(50)], 1e-6, 'log Z')
})

test('a bank begins with unit rows, and refuses sizes that cannot be', async ({ gpu }) => {
  const rows = unitRows([...(await gpu.read(new MemoryBank(gpu, { n: 9, C: 5 }).rows))], 5, true)
  close(
    rows.map((row) => Math.hypot(...row)),
    Array.from({ length: 9 }, () => 1),
    1e-6,
    'length',
  )
  refuses(
    () => new MemoryBank(gpu, { n: 0, C: 2 }),
    'MemoryBank: n must be a whole number from 1 on, got 0',
  )
  assert.throws(
    () => new MemoryBank(gpu, { n: 2 ** 26, C: 128 }),
    /67108864 features of 128 numbers need 34359738368 bytes/,
  )
  const bank = gpu.variable([1, 0], [1, 2])
  refuses(
    () => bankUpdate(bank, gpu.tensor([1, 2, 3], [1, 3]), gpu.tensor(Int32Array.of(0), [1]), 0.5),
    "bankUpdate: features must be as long as the bank's rows, and have an i32 index each, got [1, 3] and i32 [1] for [1, 2]",
  )
})

test.run()
