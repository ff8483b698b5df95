// Tests that long work ends when its signal is aborted: with the signal's reason, at once, and
// leaving nothing running.

import * as assert from 'uvu/assert'
import { setImmediate as turn } from 'node:timers/promises'
import { type Tensor, sizeOf } from '../../kernels/op.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { batches } from '../../data/loader.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { classifier } from '../../evaluate/classify.ts'
import { mostTypical } from '../../evaluate/curate/most-typical.ts'
import { nearDuplicates } from '../../evaluate/curate/near-duplicates.ts'
import { outliers } from '../../evaluate/curate/outliers.ts'
import { embed, embedSlabs } from '../../evaluate/embed.ts'
import { knn } from '../../evaluate/knn.ts'
import { linearProbe } from '../../evaluate/linear-probe.ts'
import { nearest } from '../../evaluate/nearest.ts'
import { scoresOf } from '../../evaluate/regression.ts'
import { SoftmaxRegression } from '../../evaluate/softmax-regression.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('abort')

const why = new Error('enough')
const rows = (M: number, seed = 1) => ({ features: random(M * 4, seed), M, D: 4 })
const labels = (M: number) => Int32Array.from({ length: M }, (_, i) => i % 3)

/** Says how a promise ended. */
const endOf = (work: Promise<unknown>) =>
  work.then(
    () => 'not aborted',
    (reason: unknown) => reason,
  )

/** A source of parts that aborts after the second, and would never end. */
function source<T>(make: (i: number) => T) {
  const stop = new AbortController()
  const seen = { items: 0, ended: false }
  async function* parts() {
    try {
      for (;;) {
        if (seen.items === 2) stop.abort(why)
        yield await Promise.resolve(make(seen.items++))
      }
    } finally {
      seen.ended = true
    }
  }
  return { parts: parts(), seen, signal: stop.signal }
}

const flat = (images: Tensor) => images.gpu.run.view(images, [images.shape[0] ?? 0, 6])
const image = [1, 2, 3] as const
const batch = () => ({ images: new Uint8Array(12), labels: Int32Array.of(0, 1) })

/** A classifier of images by one linear layer. */
function classes(gpu: Gpu) {
  const w = gpu.variable(random(18, 1), [3, 6])
  return classifier(gpu, {
    features: (images) => gpu.tensor(new Float32Array(sizeOf(images.shape)), [2, 6]),
    classify: (h) => linear(h, w),
    optimizer: new Sgd({ w }),
    schedule: 0.1,
    image,
  })
}

test('what goes through a source of parts ends with the reason, and ends the source', async ({
  gpu,
}) => {
  const kinds: Record<string, (parts: never, signal: AbortSignal) => Promise<unknown>> = {
    embed: (parts, signal) => embed(gpu, flat, parts, image, { signal }),
    embedSlabs: async (parts, signal) => {
      for await (const _ of embedSlabs(gpu, flat, parts, image, { rows: 2, signal }));
    },
    nearest: (parts, signal) => nearest(parts, rows(3), 2, { gpu, signal }),
    knn: (parts, signal) => knn(parts, labels(1000), rows(3), { gpu, k: 2, signal }),
    accuracy: (parts, signal) => classes(gpu).accuracy(parts, { signal }),
  }
  for (const [what, work] of Object.entries(kinds)) {
    const ofRows = what === 'nearest' || what === 'knn'
    const { parts, seen, signal } = source<object>(() => (ofRows ? rows(5) : batch()))
    assert.is(await endOf(work(parts as never, signal)), why, what)
    await turn()
    assert.equal(seen, { items: 3, ended: true }, what)
  }
})

test('a source that waits for ever is not waited for', async ({ gpu }) => {
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
  const { signal } = new AbortController()
  for (const work of [
    (own: AbortSignal) => embed(gpu, flat, never, image, { signal: own }),
    (own: AbortSignal) => nearest(never, rows(3), 2, { gpu, signal: own }),
    (own: AbortSignal) => classes(gpu).accuracy(never, { signal: own }),
  ]) {
    const stop = new AbortController()
    const end = endOf(work(AbortSignal.any([signal, stop.signal])))
    await turn()
    stop.abort(why)
    assert.is(await end, why)
  }
})

test('fits end between two steps on the GPU', async ({ gpu }) => {
  const many = rows(600)
  const regression = new SoftmaxRegression(gpu, many, labels(600), { classes: 3 })
  const fitted = await regression.fit({ lambda: 0.1 })
  const stop = new AbortController()
  const fits: Record<string, () => Promise<unknown>> = {
    fit: () => {
      queueMicrotask(() => stop.abort(why))
      return regression.fit({ lambda: 1e-4, signal: stop.signal })
    },
    linearProbe: () => {
      const again = new AbortController()
      const onTried = () => again.abort(why)
      return linearProbe(gpu, many, labels(600), { classes: 3, signal: again.signal, onTried })
    },
    outliers: () => outliers(many, { gpu, signal: stop.signal }),
    nearDuplicates: () => nearDuplicates(many, { threshold: 0.99, gpu, signal: stop.signal }),
    'nearDuplicates under way': () => {
      const again = new AbortController()
      const read = gpu.read.bind(gpu)
      const end = nearDuplicates(many, { threshold: 0.99, gpu, signal: again.signal })
      gpu.read = (t) => {
        queueMicrotask(() => again.abort(why)) // while the last rows are read
        return read(t)
      }
      return end.finally(() => (gpu.read = read))
    },
    mostTypical: () => mostTypical(rows(40), { picks: 2, gpu, signal: stop.signal }),
    scoresOf: () => scoresOf(gpu, many, fitted, { signal: stop.signal }),
    'knn of tensors': () => {
      const [x, y] = [gpu.tensor(many.features, [600, 4]), gpu.tensor(many.features, [600, 4])]
      return knn(x, labels(600), y, { k: 2, chunk: 600, signal: stop.signal })
    },
  }
  for (const [what, fit] of Object.entries(fits)) {
    assert.is(await endOf(fit()), why, what)
    const { dispatches } = gpu.stats()
    for (let i = 0; i < 20; i++) await turn()
    assert.is(gpu.stats().dispatches, dispatches, what)
  }
  assert.equal(await regression.fit({ lambda: 0.1 }), fitted) // it can be used again
})

/** A set whose reads take until `turn` is called, and the reads so far. */
function slow(size: number) {
  const pixels = new Uint8Array(size * 6)
  const side = { height: 1, width: 2, channels: 3 }
  const set = memoryDataset({ name: 'slow', image: side, classes: [], labels: null, pixels })
  const seen = { begun: 0, ended: 0 }
  let release = () => {}
  const open = new Promise<void>((resolve) => (release = resolve))
  const read: typeof set.read = async (indices, out) => {
    seen.begun++
    if (seen.begun > 2) await open
    await set.read(indices, out)
    seen.ended++
  }
  return { set: { ...set, read }, seen, release }
}

test('batches begin no read after an abort, and end those under way', async () => {
  const stop = new AbortController()
  const { set, seen, release } = slow(40)
  const steps: number[] = []
  const epoch = (async () => {
    for await (const { step } of batches(set, { batch: 4, seed: 1, epoch: 0, signal: stop.signal }))
      steps.push(step)
  })()
  await turn()
  stop.abort(why)
  setImmediate(release)
  assert.is(await endOf(epoch), why)
  assert.equal(steps, [0, 1])
  assert.is(seen.begun, seen.ended)
  assert.ok(seen.begun < 6, `${seen.begun}`)
  const late = batches(set, { batch: 4, seed: 1, epoch: 0, signal: stop.signal })
  assert.is(await endOf(late[Symbol.asyncIterator]().next()), why)
})

test('a signal that is none is refused', async ({ gpu }) => {
  const must = 'signal must be an AbortSignal, as new AbortController().signal, got'
  const controller = new AbortController()
  await refusesAll([
    [
      'a controller',
      () => call(embed, gpu, flat, [], image, { signal: controller }),
      `embed: ${must} an AbortController`,
    ],
    ['a flag', () => call(nearest, rows(3), rows(3), 1, { signal: true }), `nearest: ${must} true`],
  ])
})

test.run()
