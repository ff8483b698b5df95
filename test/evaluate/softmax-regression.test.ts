import * as assert from 'uvu/assert'
import type { Embeddings } from '../../evaluate/embed.ts'
import { linearProbe } from '../../evaluate/linear-probe.ts'
import { minimise } from '../../evaluate/minimise.ts'
import { SoftmaxRegression } from '../../evaluate/softmax-regression.ts'
import { predicted, scoresOf } from '../../evaluate/regression.ts'
import { scalingOf, standardised } from '../../evaluate/standardise.ts'
import { close, random } from '../fixtures/check.ts'
import { Golden, goldenNames } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('softmax regression')

const rowsOf = (golden: Golden, name: string): Embeddings => {
  const [M = 0, D = 0] = golden.shape(name)
  return { features: golden.values(name), M, D }
}

const countRight = (scores: Float32Array, labels: Float32Array, classes: number) =>
  [...predicted(scores, classes)].filter((prediction, i) => prediction === labels[i]).length

for (const name of goldenNames('linear_probe_'))
  test(`meets ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { lambda = NaN, classes = NaN } = golden.config as Record<string, number> // as cases.json has it
    const [train, tested] = [rowsOf(golden, 'in.features'), rowsOf(golden, 'in.test_features')]
    const regression = new SoftmaxRegression(gpu, train, golden.values('in.labels'), { classes })
    const fit = await regression.fit({ lambda })
    assert.ok(fit.converged)
    golden.expect('out.objective', [fit.objective])
    golden.expect('out.cross_entropy', [fit.crossEntropy])
    golden.expect('out.weight', fit.weight)
    const middle = fit.bias.reduce((a, b) => a + b, 0) / classes
    golden.expect(
      'out.bias',
      fit.bias.map((b) => b - middle),
    )
    const scores = await scoresOf(gpu, tested, fit)
    golden.expect(
      'out.test_logits',
      scores.map((v) => v - middle),
    )
    golden.expect('out.test_predictions', predicted(scores, classes))
    golden.expect('out.test_correct', [
      countRight(scores, golden.values('in.test_labels'), classes),
    ])
    const trained = await scoresOf(gpu, train, fit)
    golden.expect('out.train_correct', [countRight(trained, golden.values('in.labels'), classes)])
    golden.done()
  })

/** Features of which the first is the larger of classes 0 and 1, on a scale of its own; the others
 *  tell nothing. */
function problem(M: number, seed: number) {
  const features = Float32Array.from(random(M * 5, seed))
  const labels = Int32Array.from({ length: M }, (_, m) => Number((features[5 * m] ?? 0) > 0))
  return {
    rows: { features: features.map((v, i) => (i % 5 === 0 ? 3000 + 1e-2 * v : v)), M, D: 5 },
    labels,
  }
}

test('the probe chooses its strength without the test set, and scores what a scale would hide', async ({
  gpu,
}) => {
  const [train, tested] = [problem(300, 1), problem(200, 2)]
  const tried: number[] = []
  const probe = await linearProbe(gpu, train.rows, train.labels, {
    classes: 2,
    onTried: ({ lambda }) => tried.push(lambda),
  })
  assert.ok(probe.converged)
  assert.ok(tried.length >= 3 && tried.includes(probe.lambda), `${tried.join()}: ${probe.lambda}`)
  const predictions = predicted(await scoresOf(gpu, tested.rows, probe), 2)
  const right = predictions.filter((prediction, i) => prediction === tested.labels[i]).length
  assert.ok(right >= 190, `${right} of 200`)
  assert.ok((probe.heldOut ?? NaN) > 90, `${probe.heldOut}`)
})

test('a class of one image is not held out, and the middle strength does where none can be', async ({
  gpu,
}) => {
  const rows = { features: Float32Array.of(0, 1, 2, 3), M: 2, D: 2 }
  const probe = await linearProbe(gpu, rows, [0, 1], { classes: 2 })
  assert.equal([probe.lambda, probe.heldOut], [0.01, null])
  assert.equal([...predicted(await scoresOf(gpu, rows, probe), 2)], [0, 1])
})

test('standardises, and leaves alone what never changes', () => {
  const rows = { features: Float32Array.of(1, 7, 3, 7, 5, 7), M: 3, D: 2 }
  const scaling = scalingOf(rows)
  close([...scaling.mean, ...scaling.deviation], [3, 7, Math.sqrt(8 / 3), 1], 1e-12, 'scaling')
  close(standardised(rows, scaling, [1, 3]), [0, 0, 2 / Math.sqrt(8 / 3), 0], 1e-6, 'rows')
})

test('L-BFGS finds the minimum of an ill-conditioned bowl, of values in float32', async () => {
  const bowl = (x: Float64Array) => {
    const gradient = x.map((v, i) => 10 ** i * (v - i))
    const value = x.reduce((sum, v, i) => sum + (10 ** i * (v - i) ** 2) / 2, 3)
    return Promise.resolve({ value: Math.fround(value), gradient })
  }
  const { x, slope, iterations } = await minimise(bowl, new Float64Array(5), { tolerance: 1e-7 })
  assert.ok(slope <= 1e-7 && iterations < 60, `${slope} after ${iterations}`)
  close(x, [0, 1, 2, 3, 4], 1e-6, 'x')
})

test('refuses in words what it cannot fit', async ({ gpu }) => {
  const rows = { features: Float32Array.of(0, 1, 2, 3), M: 2, D: 2 }
  const made = (labels: number[]) => () => new SoftmaxRegression(gpu, rows, labels, { classes: 2 })
  refuses(
    made([0]),
    'SoftmaxRegression: there must be at least one feature and one label for each, got 1 labels for 2',
  )
  refuses(made([0, 2]), 'SoftmaxRegression: labels must be whole numbers from 0 to 1, got 2 at 1')
  const bad = { features: Float32Array.of(0, NaN, 2, 3), M: 2, D: 2 }
  const error = await linearProbe(gpu, bad, [0, 1], { classes: 2 }).catch((e: unknown) => e)
  assert.is(
    error instanceof Error && error.message,
    'SoftmaxRegression: features are not finite; the encoder has diverged',
  )
})

test.run()
