import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { enqueue } from '../../../kernels/state/enqueue.ts'
import { infoNce, infoNceOp } from '../../../kernels/loss/infonce.ts'
import { l2Normalize } from '../../../kernels/reduce/l2-normalize.ts'
import { matmul } from '../../../kernels/matmul/matmul.ts'
import { KeyQueue } from '../../../models/key-queue.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { infoNceGolden, queueOf } from '../../fixtures/golden-products.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { dot, logSumExp, meanOf, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('infoNce'))

/** Eq. 1 of the paper, written out. */
const reference =
  (C: number, T: number, normalized = false, inBatch = false) =>
  (q: number[], k: number[], queue: number[]): number[] => {
    const [queries, keys, negatives] = [
      unitRows(q, C, normalized),
      unitRows(k, C, normalized),
      unitRows(queue, C, true),
    ]
    return [
      meanOf(
        queries.map((row, n) => {
          const others = inBatch ? negatives.filter((_, j) => j !== n) : negatives
          const s = [keys[n] ?? [], ...others].map((key) => dot(row, key) / T)
          return logSumExp(s) - (s[0] ?? NaN)
        }),
      ),
    ]
  }

for (const [variant, apply] of variants(infoNceOp)) {
  const inBatch = variant === '' ? test : full // other pipelines of the same kernels
  for (const [N, C, K, temperature, normalized] of [
    [1, 1, 1, 0.5, false],
    [3, 7, 5, 0.07, false],
    [32, 16, 64, 0.1, false],
    [33, 65, 65, 0.2, true],
    [65, 20, 333, 0.02, false],
    [5, 9, 2100, 0.2, false], // shares of many tiles
    [2, 300, 70, 10, false],
  ] as const)
    test(`equals Eq. 1 for N = ${N}, C = ${C}, K = ${K}, T = ${temperature}${variant}`, ({ gpu }) =>
      checkOp(
        gpu,
        (q, k, queue) => apply({ temperature, normalized, inBatch: false }, q, k, queue),
        reference(C, temperature, normalized),
        [
          [N, C],
          [N, C],
          [K, C],
        ],
        { differentiate: [true, false, false] },
      ))
  for (const [N, C, temperature] of [
    [2, 3, 0.5],
    [33, 16, 0.2],
    [65, 9, 1],
    [200, 4, 0.2],
  ] as const)
    inBatch(
      `in a batch of ${N} x ${C}, T = ${temperature}, its own key is no negative${variant}`,
      ({ gpu }) =>
        checkOp(
          gpu,
          (q, k, queue) => apply({ temperature, normalized: false, inBatch: true }, q, k, queue),
          reference(C, temperature, false, true),
          [
            [N, C],
            [N, C],
            [N, C],
          ],
          { differentiate: [true, false, false] },
        ),
    )
}

test("MoCo v3's contrast of two small batches", async ({ gpu }) => {
  // A[i, d] = sin(0.7i + 1.3d + 0.1), B[i, d] = sin(0.7i + 1.3d + 0.4) + 0.05 cos(2.1 i d), by
  // float64 elsewhere
  const filled = (value: (i: number, d: number) => number) =>
    gpu.tensor(
      Array.from({ length: 12 }, (_, e) => value(Math.floor(e / 3), e % 3)),
      [4, 3],
    )
  const a = filled((i, d) => Math.sin(0.7 * i + 1.3 * d + 0.1))
  const b = filled((i, d) => Math.sin(0.7 * i + 1.3 * d + 0.4) + 0.05 * Math.cos(2.1 * i * d))
  const one = async (q: Tensor, k: Tensor) => {
    const [loss = NaN] = await gpu.read(infoNce(q, k, l2Normalize(k), 0.2, { inBatch: true }))
    return 2 * 0.2 * loss
  }
  close([(await one(a, b)) + (await one(b, a))], [0.4745404546], 2e-6, 'loss')
})

/** The share in percent of the rows [N, 1 + K] whose first number is among the k largest. */
const topK = (logits: Float32Array, width: number, k: number) =>
  100 *
  meanOf(
    Array.from({ length: logits.length / width }, (_, n) => {
      const row = logits.subarray(n * width, (n + 1) * width)
      return Number(row.filter((s) => s > (row[0] ?? NaN)).length < k)
    }),
  )

/** [q·k, q·queue] / T, row by row. */
async function logitsOf(gpu: Gpu, golden: Golden, q: Float32Array, k: Float32Array) {
  const [N = 0, C = 0] = golden.shape('in.q_raw')
  const { values, K } = queueOf(golden, 'in.queue')
  const T = Number(golden.config['temperature'])
  const negatives = await gpu.read(
    matmul(gpu.tensor(q, [N, C]), gpu.tensor(values, [K, C]), { transB: true }),
  )
  return Float32Array.from({ length: N * (K + 1) }, (_, i) => {
    const [n, j] = [Math.floor(i / (K + 1)), i % (K + 1)]
    const s =
      j > 0
        ? negatives[n * K + j - 1]
        : dot([...q.subarray(n * C, n * C + C)], [...k.subarray(n * C)])
    return (s ?? NaN) / T
  })
}

for (const name of goldenNames('moco_infonce_')) {
  test(`${name} agrees with the original code`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { values, K, C } = queueOf(golden, 'in.queue')
    const T = Number(golden.config['temperature'])
    const [N = 0] = golden.shape('in.q_raw')
    const queue = gpu.variable(values, [K, C])
    const [qRaw, kRaw] = [golden.tensor(gpu, 'in.q_raw'), golden.tensor(gpu, 'in.k_raw')]
    await infoNceGolden(gpu, golden)

    const [q, k] = [l2Normalize(qRaw), l2Normalize(kRaw)]
    const unit = infoNce(q, k, queue, T, { normalized: true })
    await golden.match(gpu, 'grad.q', gpu.backward(unit).of(q))
    await golden.match(gpu, 'out.q', q)
    await golden.match(gpu, 'out.k', k)
    const logits = await logitsOf(gpu, golden, await gpu.read(q), await gpu.read(k))
    if (golden.has('out.logits')) golden.expect('out.logits', logits)
    golden.expect('out.acc1', [topK(logits, K + 1, 1)])
    golden.expect('out.acc5', [topK(logits, K + 1, 5)])

    golden.expect('after.queue_ptr', [enqueue(queue, k, 0)])
    const after = await gpu.read(queue)
    const head = transposedHead(after, C, golden.shape('after.queue_head')[1] ?? 0)
    golden.expect('after.queue_head', head)
    assert.equal(after.slice(N * C), values.slice(N * C), 'the rest of the queue')
    golden.done()
  })
}

/** The first `count` rows of [K, C] as columns. */
const transposedHead = (values: Float32Array, C: number, count: number) =>
  Float32Array.from(
    { length: C * count },
    (_, i) => values[(i % count) * C + Math.floor(i / count)] ?? NaN,
  )

test('the queue is the original one, wrapping round', async ({ gpu }) => {
  const golden = new Golden('moco_queue_C16_K24_N8')
  const { values, K, C } = queueOf(golden, 'in.queue')
  const queue = new KeyQueue(gpu, { K, C })
  gpu.write(queue.keys, values)
  const [steps = 0, N = 0] = golden.shape('in.keys')
  const [queues, pointers]: [number[], number[]] = [[], []]
  for (let s = 0; s < steps; s++) {
    queue.enqueue(gpu.tensor(golden.values('in.keys').slice(s * N * C, (s + 1) * N * C), [N, C]))
    queues.push(...transposedHead(await gpu.read(queue.keys), C, K))
    pointers.push(queue.pointer)
  }
  golden.expect('out.queue', queues)
  golden.expect('out.ptr', pointers)
  golden.done()
})

test('batches need not divide the queue, nor fit into it', async ({ gpu }) => {
  for (const [K, C, batches] of [
    [7, 3, [3, 3, 3, 1, 5]],
    [5, 2, [12, 5, 6]],
    [1, 1, [1, 2]],
  ] as const) {
    const queue = new KeyQueue(gpu, { K, C })
    const expected = [...(await gpu.read(queue.keys))]
    let [pointer, seed] = [0, 1]
    for (const N of batches) {
      const keys = random(N * C, seed++)
      queue.enqueue(gpu.tensor(keys, [N, C]))
      for (let n = 0; n < N; n++, pointer = (pointer + 1) % K)
        expected.splice(pointer * C, C, ...keys.slice(n * C, (n + 1) * C))
    }
    assert.equal([...(await gpu.read(queue.keys))], expected)
    assert.is(queue.pointer, pointer)
  }
})

test('a queue begins with unit rows of its own seed', async ({ gpu }) => {
  const [a, b] = [
    new KeyQueue(gpu, { K: 20, C: 6, seed: 1 }),
    new KeyQueue(gpu, { K: 20, C: 6, seed: 2 }),
  ]
  const rows = unitRows([...(await gpu.read(a.keys))], 6, true)
  close(
    rows.map((row) => Math.hypot(...row)),
    Array.from({ length: 20 }, () => 1),
    1e-6,
    'length',
  )
  assert.not.equal(await gpu.read(a.keys), await gpu.read(b.keys))
})

test('is log(1 + K) when all similarities are equal', async ({ gpu }) => {
  for (const K of [1, 100, 4096]) {
    const rows = (count: number) => gpu.tensor(new Float32Array(count * 4).fill(0.5), [count, 4])
    close(
      await gpu.read(infoNce(rows(3), rows(3), rows(K), 0.07)),
      [Math.log(1 + K)],
      1e-6,
      `K = ${K}`,
    )
  }
})

test('keeps the digits of a small loss and of its gradient', async ({ gpu }) => {
  const [N, C, K] = [4, 8, 20]
  const near = (seed: number) =>
    random(N * C, seed).map((v, i) => 0.01 * v + Number(i % C === Math.floor(i / C)))
  const far = random(K * C, 7).map(
    (v, i) => 0.01 * v - Number(i % C === Math.floor(i / C) % C) * 0.3,
  )
  const [q, k] = [near(5), near(6)]
  for (const wanted of [1e-4, 1e-3, 1e-2]) {
    const value = (T: number) => reference(C, T)(q, k, far)[0] ?? NaN
    let [low, high] = [0.02, 5] // the temperature that gives the wanted loss
    for (let i = 0; i < 60; i++)
      [low, high] =
        value((low + high) / 2) < wanted ? [(low + high) / 2, high] : [low, (low + high) / 2]
    const query = gpu.tensor(q, [N, C])
    const loss = infoNce(query, gpu.tensor(k, [N, C]), gpu.tensor(far, [K, C]), low)
    const [got = NaN] = await gpu.read(loss)
    assert.ok(Math.abs(got - value(low)) < 1e-5 * wanted, `got ${got}, expected ${value(low)}`)
    const gradient = await gpu.read(gpu.backward(loss).of(query) ?? query)
    const direction = random(N * C, 9)
    const along = (h: number) =>
      reference(C, low)(
        q.map((v, i) => v + h * (direction[i] ?? 0)),
        k,
        far,
      )[0] ?? NaN
    const numeric = (along(1e-5) - along(-1e-5)) / 2e-5
    const analytic = dot([...gradient], direction)
    assert.ok(
      Math.abs(analytic - numeric) < 1e-4 * Math.abs(numeric),
      `got ${analytic}, expected ${numeric}`,
    )
  }
})

test('NaN and infinity make the loss NaN; a zero query gets no gradient', async ({ gpu }) => {
  const fine = gpu.tensor(random(6, 1), [2, 3])
  const queue = gpu.tensor(random(9, 2), [3, 3])
  for (const bad of [NaN, Infinity, -Infinity]) {
    const x = gpu.tensor([1, 2, 3, 4, bad, 6], [2, 3])
    for (const loss of [infoNce(x, fine, queue, 1), infoNce(fine, x, queue, 1)])
      assert.ok(Number.isNaN((await gpu.read(loss))[0]), `${bad}`)
    const worse = gpu.tensor([NaN, ...random(8, 2)], [3, 3])
    assert.ok(Number.isNaN((await gpu.read(infoNce(fine, fine, worse, 1)))[0]))
  }
  const dead = gpu.tensor([0, 0, 0, 1, 2, 3], [2, 3])
  const gradient = await gpu.read(gpu.backward(infoNce(dead, fine, queue, 0.5)).of(dead) ?? fine)
  assert.equal([...gradient.subarray(0, 3)], [0, 0, 0])
  assert.ok(Math.hypot(...gradient.subarray(3)) > 0)
})

test('two runs give the same bits', async ({ gpu }) => {
  const [N, C, K] = [40, 12, 700]
  const shapes = [
    [N, C],
    [N, C],
    [K, C],
  ]
  const once = async () => {
    const [q, k, queue] = shapes.map((shape, i) =>
      gpu.tensor(random((shape[0] ?? 0) * C, i + 1), shape),
    )
    if (!q || !k || !queue) throw new Error('no inputs')
    const loss = infoNce(q, k, queue, 0.07)
    return [await gpu.read(loss), await gpu.read(gpu.backward(loss).of(q) ?? k)]
  }
  assert.equal(await once(), await once())
})

test('refuses what it cannot mean', ({ gpu }) => {
  const z = gpu.tensor([1, 2, 3, 4], [2, 2])
  const one = gpu.tensor([1, 2], [1, 2])
  const thin = gpu.variable([1, 2, 3], [3, 1])
  refuses(
    () => infoNce(z, one, z, 1),
    'infoNce: queries and keys must have one shape, got [2, 2] and [1, 2]',
  )
  refuses(
    () => infoNce(z, z, thin, 1),
    "infoNce: the queue's rows must be as long as the queries, got [3, 1] for [2, 2]",
  )
  refuses(
    () => infoNce(z, z, gpu.tensor([1, 2, 3, 4, 5, 6], [3, 2]), 1, { inBatch: true }),
    'infoNce: in a batch the queue must be its keys, at least two, got [3, 2] for [2, 2]',
  )
  refuses(() => infoNce(z, z, z, 0), 'infoNce: the temperature must be a positive number, got 0')
  refuses(
    () => enqueue(thin, z, 0),
    "enqueue: keys must be as long as the queue's rows, got [2, 2] for [3, 1]",
  )
  refuses(
    () => enqueue(thin, gpu.tensor([1], [1, 1]), 3),
    'enqueue: the pointer must be a row of the queue, 0 to 2, got 3',
  )
  refuses(
    () => new KeyQueue(gpu, { K: 0, C: 2 }),
    'KeyQueue: K must be a whole number from 1 on, got 0',
  )
  assert.throws(
    () => new KeyQueue(gpu, { K: 2 ** 26, C: 128 }),
    /67108864 keys of 128 numbers need 34359738368 bytes/,
  )
})

test.run()
