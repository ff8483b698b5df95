// Tests batches in chunks: the gradient of the whole batch with the memory of a part.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { augment } from '../../kernels/augment/augment.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { type Optimizer, Adam } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { type Encode, gradientCache } from '../../methods/gradient-cache.ts'
import { evenly } from '../../methods/chunks.ts'
import { type SimclrOptions, simclr } from '../../methods/simclr.ts'
import { variablesOf } from '../../models/state.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { EMBEDDING, apart, network } from '../fixtures/small-network.ts'

const test = gpuSuite('gradient cache')
const H = 8

const pixels = (N: number, seed = 0) =>
  Uint8Array.from(random(N * H * H * 3, 77 + seed), (v) => Math.floor(127.5 * (v + 1)) % 256)
const batch = (N: number, seed = 0) => ({ pixels: pixels(N, seed), shape: [N, H, H, 3] })

/** SimCLR on a new network, and what its optimizer was given at the last step. */
function trainer(gpu: Gpu, normed: boolean, options: Partial<SimclrOptions> = {}) {
  const { encoder, head } = network(gpu, normed)
  const parameters = { ...encoder.parameters, ...head.parameters }
  const optimizer = new Adam(parameters)
  const seen: Promise<Float32Array>[] = []
  const watched: Optimizer = {
    t: 0,
    state: optimizer.state,
    offsets: optimizer.offsets,
    step(gradients) {
      for (const variable of Object.values(parameters)) {
        const gradient = gradients.of(variable)
        if (gradient) seen.push(gpu.read(gradient))
      }
      assert.is(gradients.size, Object.keys(parameters).length)
    },
  }
  const settings = {
    encoder,
    head,
    schedule: constant(1e-2),
    temperature: 0.3,
    batchNorm: 'per-view',
  } as const
  const views = cifarRecipe(H)
  const method = simclr(gpu, { ...settings, optimizer, views, ...options })
  const gradientOf = async (x: Parameters<typeof method.step>[0]) => {
    const { step } = simclr(gpu, { ...settings, views, ...options, optimizer: watched })
    const loss = await gpu.read(step(x))
    return {
      loss: loss[0] ?? NaN,
      gradient: (await Promise.all(seen.splice(0))).flatMap((g) => [...g]),
    }
  }
  const weights = async () =>
    Promise.all(
      [encoder, head].flatMap((m) => Object.values(variablesOf(m))).map((v) => gpu.read(v)),
    )
  const counts = () =>
    [encoder, head].flatMap(({ norms }) => Object.values(norms).map((n) => n.batches))
  const statistics = async () =>
    Promise.all(
      [encoder, head]
        .flatMap(({ norms }) =>
          Object.values(norms).flatMap(({ mean, variance }) => [mean, variance]),
        )
        .map((v) => gpu.read(v)),
    )
  return { ...method, gradientOf, weights, statistics, counts }
}

for (const batchNorm of ['per-view', 'joint'] as const) {
  test(`without batch norm any chunk gives the batch's loss and gradient, ${batchNorm}`, async ({
    gpu,
  }) => {
    const N = 7
    const whole = await trainer(gpu, false, { batchNorm }).gradientOf(batch(N))
    assert.ok(Math.hypot(...whole.gradient) > 1e-3)
    for (const chunk of [1, 2, 3, 4, 6, 7, 20]) {
      const cut = await trainer(gpu, false, { batchNorm, chunk }).gradientOf(batch(N))
      assert.ok(
        apart([cut.loss], [whole.loss]) < 1e-6,
        `chunk ${chunk}: loss ${cut.loss}, ${whole.loss}`,
      )
      const error = apart(cut.gradient, whole.gradient)
      assert.ok(error < 2e-6, `chunk ${chunk}: relative error ${error}`) // float32 sums in another order
      const images = gpu.tensor(pixels(N), [N, H, H, 3])
      assert.equal(await trainer(gpu, false, { batchNorm, chunk }).gradientOf(images), cut)
    }
  })
}

/** The gradient and the network's state after one step in which each chunk is normalised by itself,
 *  all on one tape. */
async function composed(
  gpu: Gpu,
  N: number,
  edges: readonly (readonly [number, number])[],
  joint: boolean,
) {
  const { encoder, head } = network(gpu, true)
  const training = { training: true }
  const project = (x: Tensor) => head.forward(encoder.forward(x, training), training)
  const images = pixels(N)
  const of = ([start, end]: readonly [number, number], view: number) => {
    const x = gpu.tensor(images.slice(start * H * H * 3, end * H * H * 3), [end - start, H, H, 3])
    return augment(x, cifarRecipe(H), { seed: 0, step: 0, view, offset: start })
  }
  const both = edges.map((edge) => (joint ? project(concat([of(edge, 0), of(edge, 1)], 0)) : null))
  const z = [0, 1].map((view) =>
    edges.map((edge, i) => {
      const n = edge[1] - edge[0]
      return both[i] ? slice(both[i], 0, view * n, (view + 1) * n) : project(of(edge, view))
    }),
  ) as [Tensor[], Tensor[]] // of two views
  const gradients = gpu.backward(ntXent(concat(z[0], 0), concat(z[1], 0), 0.3))
  const gradient: number[] = []
  for (const variable of Object.values({ ...encoder.parameters, ...head.parameters })) {
    const dw = gradients.of(variable)
    if (dw) gradient.push(...(await gpu.read(dw)))
  }
  const models = [encoder, head]
  const norms = models.flatMap((m) => Object.values(m.norms))
  const statistics = await Promise.all(
    norms.flatMap(({ mean, variance }) => [mean, variance]).map((v) => gpu.read(v)),
  )
  return { gradient, statistics, counts: norms.map((n) => n.batches) }
}

for (const batchNorm of ['per-view', 'joint'] as const) {
  test(`with batch norm each chunk has its own statistics, moved once, ${batchNorm}`, async ({
    gpu,
  }) => {
    const N = 8
    const want = await composed(gpu, N, [[0, 2], [2, 5], [5, 8]], batchNorm === 'joint') // prettier-ignore
    const cut = trainer(gpu, true, { batchNorm, chunk: 3 })
    const { gradient } = await cut.gradientOf(batch(N))
    const error = apart(gradient, want.gradient)
    assert.ok(error < 1e-5, `relative error ${error}`) // float32 sums in another order
    assert.equal(await cut.statistics(), want.statistics)
    assert.equal(cut.counts(), want.counts)
    assert.is(want.counts[0], batchNorm === 'joint' ? 3 : 6)
    const whole = await trainer(gpu, true, { batchNorm }).gradientOf(batch(N))
    assert.ok(
      apart(gradient, whole.gradient) > 1e-2,
      'statistics of a chunk are not those of the batch',
    )
  })
}

test('replayed chunks give the bits of chunks run one by one', async ({ gpu }) => {
  const results = []
  for (const capture of [false, true]) {
    const { step, captured, weights, counts } = trainer(gpu, true, { chunk: 3, capture })
    const losses: Promise<Float32Array>[] = []
    for (let s = 0; s < 8; s++) losses.push(gpu.read(step(batch(7, s))))
    const told = (await Promise.all(losses)).map(([loss]) => loss)
    assert.is(captured.replays, capture ? 6 : 0, `${captured.reason}`)
    results.push([told, await weights(), counts()])
    assert.ok(told.every(Number.isFinite))
    captured.release()
  }
  assert.equal(results[1], results[0])
})

test('memory grows with the batch by its images and embeddings alone', async ({
  gpu: { device },
}) => {
  const bytesOf = async (N: number, chunk: number | null, capture: boolean) => {
    const gpu = new Gpu(device)
    const { step, captured } = trainer(gpu, true, { chunk, capture })
    for (let s = 0; s < 3; s++) await gpu.read(step(batch(N, s)))
    const bytes = capture ? (captured.memory?.bytes ?? NaN) : gpu.stats().bytes
    gpu.destroy()
    return bytes
  }
  for (const capture of [false, true]) {
    const [few, many, whole] = [
      await bytesOf(16, 8, capture),
      await bytesOf(64, 8, capture),
      await bytesOf(64, null, capture),
    ]
    const embeddings = 2 * 48 * EMBEDDING * 4 // bytes of 48 more images', in two views
    const images = capture ? 0 : 48 * H * H * 3 // which a replay's plan does not count
    assert.ok(many - few <= images + 8 * embeddings, `${many - few} bytes more`)
    assert.ok(whole > 5 * many, `${whole} bytes at once, ${many} in chunks`)
  }
})

test('the loss may have parameters of its own, and need not depend on every part', async ({
  gpu,
}) => {
  const w = gpu.variable(random(6, 1), [2, 3])
  const scale = gpu.variable([1.5], [1])
  const x = [0, 1, 2].map((i) => gpu.tensor(random(12, 10 + i), [4, 3]))
  const parts = x.map(
    (one): Encode =>
      () =>
        linear(one, w),
  )
  const loss = (z: readonly Tensor[]) => sum(mul(mul(z[0] ?? w, z[2] ?? w), scale))
  const cached = gradientCache(gpu, parts, loss)
  const plain = gpu.backward(loss(parts.map((encode) => encode({ training: true }) as Tensor))) // of one
  for (const variable of [w, scale]) {
    const [got, want] = [cached.gradients.of(variable), plain.of(variable)]
    if (!got || !want) throw new Error('no gradient')
    assert.ok(apart([...(await gpu.read(got))], [...(await gpu.read(want))]) < 1e-6)
  }
  assert.is(cached.gradients.size, 2)
})

test('a part may be encoded into several tensors, of which the loss need not take all', async ({
  gpu,
}) => {
  const w = gpu.variable(random(6, 1), [2, 3])
  const parts = [0, 1].map((i): Encode => {
    const x = gpu.tensor(random(12, 10 + i), [4, 3])
    return () => {
      const y = linear(x, w)
      return [mul(y, y), y, relu(y)]
    }
  })
  const loss = (z: readonly Tensor[]) => {
    assert.is(z.length, 6)
    return sum(mul(z[1] ?? w, z[5] ?? w)) // of the first part y, of the second ReLU(y)
  }
  const { gradients } = gradientCache(gpu, parts, loss)
  const got = gradients.of(w)
  const want = gpu
    .backward(loss(parts.flatMap((encode) => encode({ training: true }) as readonly Tensor[]))) // as they are
    .of(w)
  if (!got || !want) throw new Error('no gradient')
  assert.ok(apart([...(await gpu.read(got))], [...(await gpu.read(want))]) < 1e-6)
})

test('chunks are the fewest that are small enough, and as equal as can be', () => {
  const by = (most: number, unit = 1) => ({ most, unit })
  assert.equal(evenly(9, by(4)), [[0, 3], [3, 6], [6, 9]]) // prettier-ignore
  assert.equal(evenly(10, by(4)), [[0, 3], [3, 6], [6, 10]]) // prettier-ignore
  assert.equal(evenly(8, by(Infinity)), [[0, 8]])
  assert.equal(evenly(32, by(15, 4)), [[0, 8], [8, 20], [20, 32]]) // prettier-ignore
  assert.equal(evenly(10, by(5, 4)), [[0, 4], [4, 10]]) // prettier-ignore
  assert.equal(evenly(3, by(4, 4)), [[0, 3]])
  for (let N = 1; N < 40; N++)
    for (let most = 1; most < 45; most++) {
      const sizes = evenly(N, by(most)).map(([start, end]) => end - start)
      assert.is(sizes.length, Math.ceil(N / most))
      assert.ok(Math.max(...sizes) <= most && Math.max(...sizes) - Math.min(...sizes) <= 1)
    }
})

test('a chunk that is no count, and pixels that do not fill the batch, are refused', ({ gpu }) => {
  for (const chunk of [0, 2.5, NaN])
    refuses(
      () => trainer(gpu, false, { chunk }),
      `simclr: chunk must be a whole number of images from 1 on, got ${chunk}`,
    )
  const { step } = trainer(gpu, false, { chunk: 2 })
  for (const length of [3 * H * H * 3 - 1, 3 * H * H * 3 + 1])
    assert.throws(
      () => step({ pixels: new Uint8Array(length), shape: [3, H, H, 3] }),
      /\[\d, 8, 8, 3\]/,
    )
  assert.throws(
    () => trainer(gpu, true, { chunk: 1 }).step(batch(2)),
    /batchNorm: .*more than one value per channel/,
  )
})

test('a fold keeps what its last turn returned, and reclaims the rest', async ({ gpu }) => {
  const x = gpu.tensor([1, 2], [2])
  const lost: Tensor[] = []
  const total = gpu.step(() => {
    const [last] = gpu.fold([2, 3, 4], [x], ([before], factor) => {
      if (lost.length > 0)
        refuses(
          () => mul(lost.at(-1) ?? x, x),
          'a tensor [2] was used after the step it was made in',
        )
      const temporary = mul(before, gpu.tensor([factor], [1]))
      const next = mul(temporary, temporary)
      lost.push(next, temporary)
      return [next]
    })
    for (const tensor of lost.filter((t) => t !== last))
      refuses(() => mul(tensor, x), 'a tensor [2] was used after the step it was made in')
    return last
  })
  const expected = [1, 2].map((v) => [2, 3, 4].reduce((y, factor) => (y * factor) ** 2, v))
  assert.equal(total && [...(await gpu.read(total))], expected)
  assert.equal([...(await gpu.read(x))], [1, 2])
})

test('a gradient flows to a leaf and no further', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const y = mul(w, w)
  const leaf = gpu.leaf(y)
  const gradients = gpu.backward(sum(mul(leaf, leaf)))
  const dLeaf = gradients.of(leaf)
  assert.equal(dLeaf && [...(await gpu.read(dLeaf))], [2, 8])
  assert.not(gradients.has(y))
  assert.not(gradients.has(w))
})

test.run()
