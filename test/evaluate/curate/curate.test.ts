// Choosing and comparing samples by their features, against numpy.

import * as assert from 'uvu/assert'
import { kCentre } from '../../../evaluate/curate/k-centre.ts'
import { mostTypical } from '../../../evaluate/curate/most-typical.ts'
import { nearDuplicates } from '../../../evaluate/curate/near-duplicates.ts'
import { outliers } from '../../../evaluate/curate/outliers.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'

const test = gpuSuite('curation')

const featuresOf = (golden: Golden) => {
  const [M = 0, D = 0] = golden.shape('in.features')
  return { features: golden.values('in.features'), M, D }
}

for (const name of goldenNames('k_center_'))
  test(`kCentre matches ${name}`, () => {
    const golden = new Golden(name)
    const chosen = kCentre(featuresOf(golden), {
      picks: Number(golden.config['picks']),
      metric: golden.config['metric'] as 'cosine' | 'euclidean', // as the case says
      initial: golden.config['initial'] as number[],
    })
    golden.expect('out.order', chosen.order)
    golden.expect('out.radius', chosen.radius)
    golden.expect('out.final_radius', [chosen.finalRadius])
    golden.expect('out.nearest_distance', chosen.nearest)
    golden.done()
  })

test('kCentre begins with the most central sample, and chooses none twice', () => {
  const rows = { features: Float32Array.of(0, 0, 10, 0, 4, 0, 4, 0), M: 4, D: 2 }
  const { order, radius } = kCentre(rows, { picks: 9, metric: 'euclidean' })
  assert.equal([...order], [2, 1, 0, 3])
  assert.equal([...radius], [Infinity, 6, 4, 0])
})

for (const name of goldenNames('duplicates_'))
  test(`nearDuplicates matches ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const threshold = Number(golden.config['threshold'])
    const found = await nearDuplicates(featuresOf(golden), { threshold, gpu })
    golden.expect('out.pairs', found.pairs)
    golden.expect('out.cosines', found.cosines)
    golden.expect('out.groups', found.groups)
    golden.done()
  })

test('nearDuplicates reads rows of many pairs again, and says when there are too many', async ({
  gpu,
}) => {
  const [M, D] = [80, 3]
  const features = Float32Array.from({ length: M * D }, (_, i) => 1 + (i % D))
  const { pairs, groups } = await nearDuplicates({ features, M, D }, { threshold: 0.999, gpu })
  assert.is(pairs.length, M * (M - 1))
  assert.ok(pairs.every((j, at) => at % 2 === 0 || j > (pairs[at - 1] ?? NaN)))
  assert.ok(groups.every((group) => group === 0))
  let said = ''
  await nearDuplicates({ features, M, D }, { threshold: 0.999, most: 100, gpu }).catch(
    (error: unknown) => (said = String(error)),
  )
  assert.match(said, /more than 100 pairs at threshold 0.999; give a higher one/)
})

test('nearDuplicates finds no pairs among distinct rows, and takes a tensor', async ({ gpu }) => {
  const rows = gpu.tensor(random(40 * 16, 9), [40, 16])
  const { pairs, groups } = await nearDuplicates(rows, { threshold: 0.95 })
  assert.is(pairs.length, 0)
  assert.equal([...groups], [...groups.keys()])
})

test('outliers are far from their neighbours; copies count as others', async ({ gpu }) => {
  const angles = [0, 0, 0.1, 0.2, 2] // radians
  const rows = {
    features: Float32Array.from(angles.flatMap((a) => [3 * Math.cos(a), 3 * Math.sin(a)])),
    ...{ M: angles.length, D: 2 },
  }
  const { scores, order } = await outliers(rows, { k: 2, gpu })
  const expected = angles.map((a, i) => {
    const others = angles.filter((_, j) => j !== i).map((b) => 1 - Math.cos(a - b))
    return (
      others
        .sort((x, y) => x - y)
        .slice(0, 2)
        .reduce((x, y) => x + y, 0) / 2
    )
  })
  close(scores, expected, 1e-6, 'scores')
  assert.equal(
    [...order],
    [4, 3, 0, 1, 2].sort((a, b) => (expected[b] ?? 0) - (expected[a] ?? 0) || a - b),
  )
  const few = await outliers(rows, { k: 100, gpu })
  assert.is(few.scores.length, 5)
})

test('mostTypical takes the middle of each cluster, the largest first', async ({ gpu }) => {
  const centres = [0, 1.5, 3]
  const counts = [9, 5, 7]
  const angles = centres.flatMap((centre, c) =>
    Array.from(
      { length: counts[c] ?? 0 },
      (_, i) => centre + 0.02 * (i - ((counts[c] ?? 0) - 1) / 2),
    ),
  )
  const rows = {
    features: Float32Array.from(angles.flatMap((a) => [Math.cos(a), Math.sin(a)])),
    ...{ M: angles.length, D: 2 },
  }
  const { order, clusters } = await mostTypical(rows, { picks: 3, gpu })
  assert.equal([...order], [4, 17, 11])
  assert.is(new Set(clusters).size, 3)
  const more = await mostTypical(rows, { picks: 2, initial: [0], gpu }) // the first cluster is covered
  assert.equal([...more.order], [17, 11])
  const all = await mostTypical(rows, { picks: 21, gpu })
  assert.equal(
    [...all.order].sort((a, b) => a - b),
    [...angles.keys()],
  )
})

test('misuse is refused in words', async ({ gpu }) => {
  const rows = { features: Float32Array.of(1, 2, 3, 4), M: 2, D: 2 }
  await refusesAll([
    [
      'kCentre',
      () => call(kCentre, rows, { picks: 0 }),
      'kCentre: picks must be a whole number from 1 on, got 0',
    ],
    [
      'kCentre',
      () => call(kCentre, rows, { picks: 1, initial: [2] }),
      'kCentre: initial must be whole numbers from 0 to 1, got 2 at 0',
    ],
    [
      'kCentre',
      () => call(kCentre, rows, { picks: 1, metric: 'l1' }),
      "kCentre: metric must be 'cosine' or 'euclidean', got 'l1'",
    ],
  ])
  for (const [options, words] of [
    [
      { threshold: 0, gpu },
      /^nearDuplicates: threshold must be a number above 0, at most 1, got 0/,
    ],
    [{ threshold: 0.5 }, /^nearDuplicates: features and queries lie on the host; pass the Gpu/],
  ] as const) {
    let said = ''
    await nearDuplicates(rows, options).catch((error: Error) => (said = error.message))
    assert.match(said, words)
  }
})

test('searches among all pairs tell how many have been compared', async ({ gpu }) => {
  const features = { features: random(10 * 3, 5), M: 10, D: 3 }
  const told: string[] = []
  const onProgress = ({ done, total }: { readonly done: number; readonly total: number }) =>
    told.push(`${done} of ${total}`)
  await nearDuplicates(features, { threshold: 0.999, gpu, onProgress })
  await outliers(features, { k: 2, gpu, onProgress })
  assert.equal(told, ['45 of 45', '100 of 100'])
})

test('nearDuplicates finds the same in memory that held other numbers', async ({ gpu }) => {
  const features = { features: random(10 * 3, 5), M: 10, D: 3 }
  const found = async () => (await nearDuplicates(features, { threshold: 0.9, gpu })).pairs
  const pairs = [...(await found())]
  const long = gpu.tensor(random(10 * 32, 6), [10, 32]) // as large as what is found of ten rows
  for (let i = 0; i < 4; i++) {
    gpu.step(() => gpu.noGrad(() => add(add(long, long), long)))
    assert.equal([...(await found())], pairs)
  }
})

test.run()
