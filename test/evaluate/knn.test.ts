import * as assert from 'uvu/assert'
import { ShapeError } from '../../kernels/op.ts'
import { knnVote } from '../../kernels/knn/knn-vote.ts'
import { nearestRows } from '../../kernels/knn/nearest-rows.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { knn } from '../../evaluate/knn.ts'
import { accuracy } from '../../evaluate/accuracy.ts'
import { close, random } from '../fixtures/check.ts'
import { Golden, goldenNames } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('knn')

interface Problem {
  readonly M: number
  readonly Q: number
  readonly D: number
  readonly classes: number
  readonly k: number
  readonly temperature: number
}

/** What `knn` is told of a problem. */
const voteOf = ({ k, temperature, classes }: Problem) => ({ k, temperature, classes })

/** Features, labels and queries of a problem; `levels` rounds features to few values, so that many
 *  are equally near. */
function problem({ M, Q, D, classes }: Problem, levels = 0) {
  const round = (v: number) => (levels > 0 ? Math.round(v * levels) : v)
  return {
    features: random(M * D, 1).map(round),
    queries: random(Q * D, 2).map(round),
    labels: random(M, 3).map((v) => Math.floor(((v + 1) / 2) * classes)),
  }
}

type Data = ReturnType<typeof problem>

/** The definition in float64. Similarities within 1e-6 of each other are equal, as they are to
 *  f32. */
function reference(
  { features, queries, labels }: Data,
  { M, Q, D, classes, k, temperature }: Problem,
) {
  const row = (x: readonly number[], i: number) => {
    const values = x.slice(i * D, (i + 1) * D)
    const length = Math.hypot(...values) || 1
    return values.map((v) => v / length)
  }
  const scores: number[] = []
  for (let q = 0; q < Q; q++) {
    const query = row(queries, q)
    const near = Array.from({ length: M }, (_, m) => {
      const sim = row(features, m).reduce((sum, v, d) => sum + v * (query[d] ?? NaN), 0)
      return { m, sim, rank: Math.round(sim * 1e6) }
    })
    near.sort((a, b) => b.rank - a.rank || a.m - b.m)
    const score = Array.from({ length: classes }, () => 0)
    for (const { m, sim } of near.slice(0, k)) {
      const c = labels[m] ?? NaN
      score[c] = (score[c] ?? NaN) + Math.exp(sim / temperature)
    }
    scores.push(...score)
  }
  return scores
}

const argmax = (scores: readonly number[], classes: number) =>
  Array.from({ length: scores.length / classes }, (_, q) => {
    const own = scores.slice(q * classes, (q + 1) * classes)
    return own.indexOf(Math.max(...own))
  })

const problems: readonly Problem[] = [
  { M: 1, Q: 1, D: 1, classes: 1, k: 1, temperature: 0.5 },
  { M: 2, Q: 3, D: 5, classes: 2, k: 1, temperature: 0.5 },
  { M: 63, Q: 5, D: 7, classes: 3, k: 10, temperature: 0.07 },
  { M: 64, Q: 4, D: 16, classes: 5, k: 64, temperature: 0.1 },
  { M: 130, Q: 9, D: 33, classes: 11, k: 127, temperature: 1 },
]

for (const p of problems)
  test(`agrees with float64 for ${p.k} of ${p.M}`, async ({ gpu }) => {
    const data = problem(p)
    const expected = reference(data, p)
    const features = gpu.tensor(data.features, [p.M, p.D])
    const queries = gpu.tensor(data.queries, [p.Q, p.D])
    const { scores, predictions } = await knn(features, data.labels, queries, voteOf(p))
    close(scores, expected, 1e-4, 'scores')
    assert.equal([...predictions], argmax(expected, p.classes))
  })

for (const name of goldenNames('knn_'))
  test(`meets ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { k, temperature, classes } = golden.config as Record<string, number> // as cases.json has it
    const { scores, predictions } = await knn(
      golden.tensor(gpu, 'in.bank'),
      golden.indices(gpu, 'in.bank_labels'),
      golden.tensor(gpu, 'in.query'),
      {
        k: Number(k),
        temperature: Number(temperature),
        classes: Number(classes),
        normalized: true,
      },
    )
    golden.expect('out.scores', scores)
    golden.expect('out.pred', predictions)
    golden.expect('out.acc1', [accuracy(predictions, golden.values('in.query_labels'))])
    golden.done()
  })

test('of equally near features takes the first', async ({ gpu }) => {
  const p = { M: 100, Q: 6, D: 2, classes: 100, k: 17, temperature: 0.5 }
  const { features, queries } = problem(p, 1) // nine directions at most
  const labels = Array.from({ length: p.M }, (_, m) => m) // each its own class, so that scores name the chosen
  const { scores } = await knn(
    gpu.tensor(features, [p.M, p.D]),
    labels,
    gpu.tensor(queries, [p.Q, p.D]),
    voteOf(p),
  )
  close(scores, reference({ features, queries, labels }, p), 1e-4, 'scores')
  const same = await knn(
    gpu.tensor(Array(100).fill(1), [100, 1]),
    labels,
    gpu.tensor([1, -1, 0], [3, 1]),
    {
      k: 5,
    },
  )
  for (const [q, sim] of [1, -1, 0].entries())
    close(
      same.scores.slice(q * 100, (q + 1) * 100),
      labels.map((m) => (m < 5 ? Math.exp(sim / 0.5) : 0)),
      1e-6,
      `all equal, similarity ${sim}`,
    )
})

test('takes all features when k is more than there are', async ({ gpu }) => {
  const p = { M: 10, Q: 2, D: 3, classes: 4, k: 10, temperature: 0.5 }
  const data = problem(p)
  const { scores } = await knn(
    gpu.tensor(data.features, [10, 3]),
    data.labels,
    gpu.tensor(data.queries, [2, 3]),
    {
      classes: 4,
    },
  )
  close(scores, reference(data, p), 1e-4, 'scores')
})

test('predicts at temperature 0.01, where scores overflow', async ({ gpu }) => {
  const features = gpu.tensor([1, 0, 0.98, 0.2, 0.8, 0.6, -1, 0], [4, 2])
  const { scores, predictions } = await knn(features, [1, 0, 2, 3], gpu.tensor([1, 0], [1, 2]), {
    temperature: 0.01,
    classes: 5,
  })
  assert.equal([...predictions], [1])
  assert.equal([...scores.slice(0, 2)], [Infinity, Infinity])
  assert.ok(Math.abs((scores[2] ?? NaN) / Math.exp(80) - 1) < 1e-4, `${scores[2]}`)
  assert.equal([...scores.slice(3)], [Math.fround(Math.exp(-100)), 0])
})

test('several at once, in chunks and with steps in between, agree with float64', async ({
  gpu,
}) => {
  const p = { M: 63, Q: 11, D: 7, classes: 3, k: 10, temperature: 0.2 }
  const data = problem(p)
  const expected = reference(data, p)
  const whole = gpu.tensor([...data.features, ...data.queries], [p.M + p.Q, p.D])
  const labels = gpu.tensor(Int32Array.from(data.labels), [p.M])
  const [features, queries] = gpu.step(
    () => [slice(whole, 0, 0, p.M), slice(whole, 0, p.M, p.M + p.Q)] as const,
  )
  const calls = { waiting: 3 }
  const ask = (chunk: number) =>
    knn(features, labels, queries, { ...voteOf(p), chunk }).finally(() => {
      calls.waiting--
    })
  const results = Promise.all([ask(1), ask(4 * p.M + 1), ask(1000)]) // 1, 4 and 11 queries at a time
  let steps = 0
  for (; calls.waiting > 0; steps++) {
    gpu.step(() => relu(whole))
    await new Promise(setImmediate)
  }
  for (const [i, { scores, predictions }] of (await results).entries()) {
    close(scores, expected, 1e-4, `scores ${i}`)
    assert.equal([...predictions], argmax(expected, p.classes))
  }
  assert.ok(steps > 1, 'no step ran in between')
})

test('the vote agrees with float64 with 8 and with 64 threads, from any query on', async ({
  gpu,
}) => {
  const p = { M: 130, Q: 7, D: 5, classes: 4, k: 37, temperature: 0.3 }
  const data = problem(p)
  const unit = (x: readonly number[]) =>
    x.map((v, i) => v / Math.hypot(...x.slice(i - (i % p.D), i - (i % p.D) + p.D)))
  const features = gpu.tensor(unit(data.features), [p.M, p.D])
  const queries = gpu.tensor(unit(data.queries), [p.Q, p.D])
  const labels = gpu.tensor(Int32Array.from(data.labels), [p.M])
  const expected = reference(data, p)
  for (const threads of [8, 64])
    for (const [start, end] of [
      [0, 7],
      [2, 5],
      [6, 7],
    ] as const) {
      const near = nearestRows(queries, features, labels, { k: p.k, start, end, threads })
      const vote = knnVote(near.similarities, near.tags, p)
      const [votes, largest] = await Promise.all([gpu.read(vote.votes), gpu.read(vote.largest)])
      const scores = votes.map((v, i) => v && v * Math.exp((largest[i] ?? NaN) / p.temperature))
      close(
        scores,
        expected.slice(start * p.classes, end * p.classes),
        1e-4,
        `${start} to ${end}, ${threads} threads`,
      )
    }
})

test('takes what a step returned, and labels from the GPU', async ({ gpu }) => {
  const whole = gpu.tensor(random(6 * 4), [6, 4])
  const [features, queries] = gpu.step(
    () => [slice(whole, 0, 0, 4), slice(whole, 0, 1, 3)] as const,
  )
  const { predictions } = await knn(
    features,
    gpu.tensor(new Int32Array([3, 1, 2, 0]), [4]),
    queries,
    {
      k: 1,
    },
  )
  assert.equal([...predictions], [1, 2])
})

test('refuses what it cannot judge', async ({ gpu }) => {
  const features = gpu.tensor(random(8), [4, 2])
  const queries = gpu.tensor(random(6), [3, 2])
  const labels = [0, 1, 2, 0]
  const refused = async (message: string, ...[f, y, q, options]: Parameters<typeof knn>) => {
    const error = await knn(f, y, q, options).catch((e: unknown) => e)
    assert.ok(error instanceof Error, `should refuse: ${message}`)
    if (error instanceof Error) assert.is(error.message, message)
  }
  const wide = gpu.tensor(random(12), [4, 3])
  await refused(
    'knn: features [M, D] and queries [Q, D] must agree in D, with M at least 1, got [4, 3] and [3, 2]',
    wide,
    labels,
    queries,
  )
  const vector = gpu.tensor([1, 2], [2])
  await refused('knn: queries must be a matrix [rows, columns], got [2]', features, labels, vector)
  await refused(
    'knn: there must be one label per feature, got 3 for [4, 2]',
    features,
    [0, 1, 2],
    queries,
  )
  await refused(
    'knn: labels must be whole numbers from 0 to 1, got 2 at 2',
    features,
    labels,
    queries,
    {
      classes: 2,
    },
  )
  await refused(
    'knn: labels must be whole numbers from 0 to 1, got -1 at 1',
    features,
    [0, -1, 1, 0],
    queries,
  )
  await refused(
    'knn: labels must be whole numbers from 0 to 1, got 0.5 at 0',
    features,
    [0.5, 0, 1, 0],
    queries,
  )
  await refused('knn: k must be a whole number from 1, got 0', features, labels, queries, { k: 0 })
  await refused('knn: k must be a whole number from 1, got 1.5', features, labels, queries, {
    k: 1.5,
  })
  await refused('knn: temperature must be above 0, got 0', features, labels, queries, {
    temperature: 0,
  })
  await refused('knn: chunk must be at least 1, got NaN', features, labels, queries, { chunk: NaN })
  for (const bad of [NaN, -NaN, Infinity])
    await refused(
      'knn: features or queries are not finite; the encoder has diverged',
      gpu.tensor([1, 2, 3, 4, 5, bad, 7, 8], [4, 2]),
      labels,
      queries,
      { k: 1 },
    )
})

test('accuracy is a percentage', () => {
  assert.is(accuracy([1, 2, 3, 4], Int32Array.of(1, 2, 0, 4)), 75)
  refuses(
    () => accuracy([1], [1, 2]),
    'accuracy: there must be one prediction per label, got 1 for 2 labels',
  )
  refuses(
    () => accuracy([], []),
    'accuracy: there must be one prediction per label, got 0 for 0 labels',
  )
})

test('does not pile up memory', async ({ gpu }) => {
  const features = gpu.tensor(random(4000), [500, 8])
  const queries = gpu.tensor(random(400), [50, 8])
  const labels = Array.from({ length: 500 }, (_, m) => m % 10)
  const run = () => knn(features, labels, queries, { k: 20 })
  await run()
  const before = gpu.stats().bytes
  for (let i = 0; i < 10; i++) await run()
  const grown = gpu.stats().bytes - before
  assert.ok(
    grown < 10 * 4 * 50 * 500,
    `${grown} bytes: the similarities of a call should not outlive it`,
  )
})

test('a mismatch is a ShapeError', async ({ gpu }) => {
  const error = await knn(gpu.tensor([1], [1, 1]), [], gpu.tensor([1], [1, 1])).catch(
    (e: unknown) => e,
  )
  assert.instance(error, ShapeError)
})

test.run()
