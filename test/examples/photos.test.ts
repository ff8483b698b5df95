// The photo page's parts that need no browser: what its worker reads from files, its settings, its
// lists and its map.

import * as assert from 'uvu/assert'
import { suite } from 'uvu'
import { Camera } from '../../examples/photos/page/camera.ts'
import { gridOf } from '../../examples/photos/page/grid.ts'
import { closePairs, loners, nearestOf } from '../../examples/photos/page/ranking.ts'
import { timeLeft } from '../../examples/photos/page/speed.ts'
import {
  decodePictures,
  decodeTraining,
  encodePictures,
  encodeTraining,
} from '../../examples/photos/trainer/run-file.ts'
import { configFor } from '../../examples/photos/trainer/settings.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import { openGpu } from '../../engine/node.ts'
import { isZip, openPacked } from '../../examples/photos/trainer/packed-run.ts'
import { picturesBytes, picturesIn } from '../../examples/photos/trainer/pictures-file.ts'
import {
  type Gpu,
  MemoryStorage,
  type SafetensorsFile,
  type SavedTensor,
  type Split,
  type TrainConfig,
  type TrainingEvent,
  configOf,
  memoryDataset,
  packRun,
  procedural,
  saveModel,
  train,
} from '../../index.ts'
import { OneAtATime } from '../../examples/photos/trainer/one-at-a-time.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { untrained } from '../../examples/photos/trainer/encoder.ts'

const test = suite('example of photos')

const choice = { method: 'simclr', network: 'small', side: 32, steps: 20, seed: 0 } as const

test('a training has about as many steps as are chosen', () => {
  for (const method of ['simclr', 'moco'] as const)
    for (const pictures of [8, 9, 31, 200, 5000]) {
      const { batch, epochs } = configFor({ ...choice, method, steps: 300 }, pictures)
      const perEpoch = Math.floor(pictures / batch)
      assert.ok(batch >= 2 && batch <= pictures, `${pictures}: batch ${batch}`)
      assert.ok(configFor({ ...choice, method, batch: 7 }, pictures).batch === 7)
      const steps = epochs * perEpoch
      assert.ok(steps >= 300 && steps < 300 + perEpoch, `${method}, ${pictures}: ${steps} steps`)
    }
})

test('too few pictures are refused in words', () => {
  assert.throws(() => configFor(choice, 0), /no pictures to train on/)
  assert.throws(() => configFor(choice, 1), /one picture is too few.*at least 8/)
  assert.throws(() => configFor(choice, 7), /7 pictures are too few.*at least 8/)
})

const found = {
  indices: Uint32Array.of(1, 2, 0, 2, 1, 0),
  cosines: Float32Array.of(0.99, 0.5, 0.99, 0.25, 0.25, 0.5),
  k: 2,
}

test('pairs stand once, the most alike first', () => {
  assert.equal(
    closePairs(found).map(({ a, b }) => [a, b]),
    [
      [0, 1],
      [0, 2],
      [1, 2],
    ],
  )
  assert.equal(
    nearestOf(found, 2).map(({ picture }) => picture),
    [1, 0],
  )
  assert.is(loners(found)[0]?.picture, 2)
})

test('the camera shows all places, and goes back where it came from', () => {
  const camera = new Camera()
  camera.width = 400
  camera.height = 300
  const places = Float32Array.of(-3, 0, 5, 2, 1, 9)
  camera.fit(places, 20)
  for (let i = 0; i < 3; i++) {
    const [x, y] = camera.project(places[2 * i] ?? NaN, places[2 * i + 1] ?? NaN)
    assert.ok(x > 19.9 && x < 380.1 && y > 19.9 && y < 280.1, `${i}: ${x}, ${y}`)
  }
  const before = camera.project(5, 2)
  camera.zoomBy(3, before)
  const after = camera.project(5, 2)
  assert.ok(Math.hypot(after[0] - before[0], after[1] - before[1]) < 1e-6, 'the point stays')
  camera.zoomBy(1 / 3, before)
  assert.equal(camera.project(5, 2), before)
})

test('a grid has a place of its own for each picture', () => {
  const places = gridOf(7, 2)
  const all = Array.from({ length: 7 }, (_, i) => `${places[2 * i]} ${places[2 * i + 1]}`)
  assert.is(new Set(all).size, 7)
})

test('the time left is said in words', () => {
  assert.is(timeLeft(3), 'a few seconds')
  assert.is(timeLeft(43), '45 s')
  assert.is(timeLeft(600), '10 min')
  assert.is(timeLeft(7800), '2 h 10 min')
})

const pictures = {
  kind: 'own',
  side: 2,
  names: ['a.jpg', 'b.jpg'],
  pixels: Uint8Array.from({ length: 24 }, (_, i) => i),
  classes: [],
  labels: null,
  test: { pixels: new Uint8Array(), labels: null },
} as const
const tensors = new Map<string, SavedTensor>([
  ['conv1.weight', { shape: [1], data: Float32Array.of(2) }],
])
const training = {
  choice,
  config: configFor(choice, 20),
  metrics: [{ step: 1, loss: 2.5 }],
  checkpoint: { step: 1, path: 'step 1', tensors, metadata: { 'optimizer.t': '1', step: '1' } },
}

test('a saved training is read as it was written', () => {
  const read = decodePictures(encodePictures(pictures))
  assert.equal({ ...read, pixels: [...read.pixels] }, { ...pictures, pixels: [...pictures.pixels] })
  assert.equal(decodeTraining(encodeTraining(training), 20), training)
})

test('a file that says what it does not hold is refused in words', () => {
  const file = encodePictures(pictures)
  const about = (change: object) => {
    const said = { ...(JSON.parse(file.metadata['photos'] ?? '') as object), ...change }
    return () => decodePictures({ ...file, metadata: { photos: JSON.stringify(said) } })
  }
  assert.throws(about({ names: ['one'] }), /it names 1 pictures and holds 2/)
  assert.throws(about({ side: 1e9 }), /pictures is wrong: side/)
  assert.throws(about({ names: 'all' }), /pictures is wrong: names/)
  assert.throws(() => decodePictures({ ...file, metadata: {} }), /holds no pictures of this page/)
  assert.throws(() => decodePictures({ ...file, metadata: { photos: '{' } }), /damaged/)
  assert.throws(() => decodePictures({ ...file, tensors: new Map() }), /has no photos.pixels/)
  const labels = new Map([...file.tensors]).set('photos.labels', {
    shape: [2],
    data: Int32Array.of(0, 7),
  })
  assert.throws(() => decodePictures({ ...file, tensors: labels }), /classes that it does not have/)
  const saved = encodeTraining(training)
  const run = (change: (text: string) => string) => {
    const text = change(saved.metadata['photos.run'] ?? '')
    return () =>
      decodeTraining({ ...saved, metadata: { ...saved.metadata, 'photos.run': text } }, 20)
  }
  assert.throws(
    run((text) => text.replace('"resnet8"', '"resnet99"')),
    /training is wrong: config.model.name/,
  )
  assert.throws(
    run((text) => text.replace('"width":16', '"width":1e9')),
    /training is wrong: config.model.width/,
  )
})

test('a training that could not go on is refused in words', () => {
  const { config } = training
  const refused = (change: object, pattern: RegExp, size = 20) => {
    const { tensors: state = tensors, metadata = {}, ...said } = change as Partial<SafetensorsFile>
    const saved = encodeTraining({ ...training, ...said })
    const file = { tensors: state, metadata: { ...saved.metadata, ...metadata } }
    assert.throws(() => decodeTraining(file, size), pattern)
  }
  const step = (text: string) => ({ metadata: { step: text } })
  refused(step('-1'), /its step must be a whole number from 0 on, got "-1"/)
  refused(step('99999999999'), /it is at step 99999999999, after its last step of \d+$/)
  const { batch } = config
  refused({}, new RegExp(`of ${batch} pictures, and it holds ${batch - 1}$`), batch - 1)
  refused({ config: { ...config, batch: 1000 } }, /batches are of 1000 pictures, and it holds 20/)
  refused({ metrics: [{ step: 1, loss: 'e' }] }, /metric 1: loss must be a number, got "e"/)
  refused({ metrics: [{ step: 1, spread: 'e' }] }, /metric 1: spread must be a number, got "e"/)
  refused({ metrics: [7] }, /metric 1 is no object/)
  refused({ config: { ...config, temperature: 'hot' } }, /its configuration: .*\n *temperature/)
  const bad = { shape: [2], data: Float32Array.of(1, NaN) }
  refused({ tensors: new Map([['conv1.weight', bad]]) }, /not finite, in conv1.weight/)
  const wider = JSON.stringify({ ...config, model: { ...config.model, width: 8 } })
  refused({ metadata: { config: wider } }, /model.width 8 -> 16/)
})

test('a second training is refused while one runs', async () => {
  const trainings = new OneAtATime()
  let end = () => {}
  let begun = 0
  const first = trainings.run(async () => {
    begun++
    await new Promise<void>((resolve) => {
      end = resolve
    })
    throw new Error('lost')
  })
  const second = () => {
    begun++
    return Promise.resolve(begun)
  }
  await refusesAsync(() => trainings.run(second), 'a training runs already; pause it first')
  assert.throws(() => trainings.refuse(), /runs already/)
  assert.is(begun, 1)
  end()
  await refusesAsync(() => first, 'lost')
  assert.is(await trainings.run(second), 2)
})

/** Keeps the weights that a training begins with. */
class BeginningStorage extends MemoryStorage {
  readonly beginning = new Map<string, SavedTensor>()

  override saveCheckpoint(...saved: Parameters<MemoryStorage['saveCheckpoint']>) {
    const [step, begun] = saved
    if (step === 0) for (const [name, tensor] of begun) this.beginning.set(name, tensor)
    return super.saveCheckpoint(...saved)
  }
}

test('the network before training is the one that a training begins with', async () => {
  const gpu = await openGpu()
  const data = procedural({ size: 16, train: 16, test: 4 })
  for (const method of ['simclr', 'moco'] as const) {
    const config = configFor({ ...choice, method, width: 2, side: 16, steps: 1, seed: 3 }, 16)
    const storage = new BeginningStorage(config)
    await train(gpu, data, storage)
    assert.ok(storage.beginning.size > 0)
    for (const [name, { data: values }] of await saveModel(gpu, untrained(gpu, config)))
      assert.equal(values, storage.beginning.get(name)?.data, `${method}: ${name}`)
  }
  gpu.destroy()
})

/** Trains in memory for an epoch, or to the end. */
async function trainOn(gpu: Gpu, data: Split, storage: MemoryStorage, isWhole: boolean) {
  const stop = new AbortController()
  const onEvent = ({ event }: TrainingEvent) => {
    if (event === 'step' && !isWhole) stop.abort()
  }
  return train(gpu, data, storage, { signal: stop.signal, onEvent })
}

test('a packed run with its images is opened, kept and trained on to the same bits', async () => {
  const gpu = await openGpu()
  const data = procedural({ size: 16, train: 16, test: 4 })
  const narrow = { ...choice, width: 2, side: 16, batch: 8, steps: 8 }
  const config = configFor({ ...narrow, looks: 1 }, 16)
  const whole = new MemoryStorage(config)
  await trainOn(gpu, data, whole, true)
  const begun = new MemoryStorage(config)
  const { step } = await trainOn(gpu, data, begun, false)
  const zip = new Uint8Array(await (await packRun(begun, { images: data })).arrayBuffer())
  assert.ok(isZip(zip) && !isZip(Uint8Array.of(0x50)))

  const opened = await openPacked(zip, 'run.zip')
  assert.is(opened.training.checkpoint.step, step)
  assert.equal(opened.training.choice, narrow)
  const { kind, side, names, classes, labels } = opened.pictures
  assert.equal(
    [kind, side, names.length, names[0], classes, labels],
    ['own', 16, 16, 'picture 1', data.train.classes, data.train.labels],
  )
  const kept = await picturesIn(await picturesBytes(opened.pictures), 'its pictures')
  assert.equal(kept.pixels, opened.pictures.pixels)
  assert.ok(kept.carried)
  const later = new MemoryStorage(opened.training.config)
  const { checkpoint } = opened.training
  await later.saveCheckpoint(step, checkpoint.tensors, checkpoint.metadata)
  assert.ok((await trainOn(gpu, kept.carried, later, true)).finished)
  for (const [name, { data: values }] of whole.newest?.tensors ?? [])
    assert.equal(later.newest?.tensors.get(name)?.data, values, name)
  gpu.destroy()
})

test('a packed run that this page cannot go on with is refused in words', async () => {
  const images = procedural({ size: 16, train: 16, test: 1 })
  const zipOf = async (config: TrainConfig, carried: Split | null) => {
    const run = new MemoryStorage(config)
    await run.saveCheckpoint(1, tensors, { 'optimizer.t': '1' })
    return new Uint8Array(await (await packRun(run, { images: carried })).arrayBuffer())
  }
  const config = configFor({ ...choice, side: 16 }, 16)
  const bank = configOf('memory-bank', { data: 'photos', size: 16, batch: 8 })
  const wide = memoryDataset({
    ...{ image: { height: 2, width: 3, channels: 3 }, pixels: new Uint8Array(16 * 18) },
  })
  const wrong: readonly (readonly [TrainConfig, Split | null, RegExp])[] = [
    [
      config,
      null,
      /^it carries no images; make it by kindred export RUN --to X.zip --with-images$/,
    ],
    [bank, images, /^this page cannot train it: method: /],
    [{ ...config, precision: 'f16' }, images, /^this page cannot train it: precision: /],
    [
      config,
      { train: wide, test: wide },
      /^its images are 2 x 3 pixels, and this page shows squares/,
    ],
    [{ ...config, batch: 17 }, images, /^its batches are of 17 pictures, and it holds 16$/],
  ]
  for (const [of, carried, words] of wrong) {
    const zip = await zipOf(of, carried)
    const told = await openPacked(zip, 'x.zip').then(() => 'was not refused', reasonOf)
    assert.match(told, words)
  }
})

test.run()
