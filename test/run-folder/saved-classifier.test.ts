// Tests that files of fine-tuned networks are opened, or refused in words.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { DIGEST } from '../../engine/file-digest.ts'
import { type SavedTensor, decodeSafetensors, encodeSafetensors } from '../../engine/safetensors.ts'
import { saveModel } from '../../models/state.ts'
import { encodeClassifier, openClassifier } from '../../run-folder/saved-classifier.ts'
import { openEncoder } from '../../run-folder/saved-encoder.ts'
import { configOf } from '../../training/config.ts'
import { networksOf } from '../../training/encoder.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('openClassifier')
const config = configOf('moco', { model: 'resnet8', width: 2, batch: 8, queue: 8, bnSplits: 4 })
const F = 8

test('gives the scores of the encoder and the linear layer, and the classes as they are', async ({
  gpu,
}) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-classifier-'))
  const { model } = networksOf(gpu, config, 'features')
  assert.is(model.features, F)
  const weights = {
    'classifier.weight': { shape: [3, F], data: Float32Array.from(random(3 * F, 1)) },
    'classifier.bias': { shape: [3], data: Float32Array.from(random(3, 2)) },
  }
  const encoder = await saveModel(gpu, model)
  const classes = ['<b>', 'a\nb', '__proto__']
  const file = (more: Readonly<Record<string, SavedTensor | null>>, names: unknown = classes) => {
    const path = join(dir, 'network.safetensors')
    const tensors = new Map([...encoder, ...Object.entries({ ...weights, ...more })])
    const kept = new Map([...tensors].flatMap(([name, t]) => (t ? [[name, t] as const] : [])))
    const given = { config, tensors: kept, classes, about: { step: '3' } }
    const bytes = encodeClassifier(given)
    writeFileSync(path, names === classes ? bytes : changed(bytes, { names, isStamped: false }))
    return path
  }
  const opened = await openClassifier(file({}))
  assert.equal(opened.classes, classes)
  assert.is(opened.checkpoint.metadata['step'], '3')
  const whole = await opened.buildClassifier(gpu)
  assert.is(whole.features, 3)
  const images = random(2 * 32 * 32 * 3, 3)
  const of = async (made: typeof whole) =>
    gpu.read(
      gpu.step(() =>
        gpu.noGrad(() => made.forward(gpu.tensor(images, [2, 32, 32, 3]), { training: false })),
      ),
    )
  const [scores, features] = [await of(whole), await of(model)]
  for (let n = 0; n < 2; n++)
    for (let c = 0; c < 3; c++) {
      let exact = weights['classifier.bias'].data[c] ?? NaN
      for (let f = 0; f < F; f++)
        exact +=
          (features[n * F + f] ?? NaN) * (weights['classifier.weight'].data[c * F + f] ?? NaN)
      assert.ok(Math.abs((scores[n * 3 + c] ?? NaN) - exact) < 1e-4)
    }
  // kNN of such a file compares features: MoCo's head is gone
  assert.is((await (await openEncoder(file({}))).build(gpu)).features, F)

  const refusal = (path: string) =>
    openClassifier(path).then(
      () => 'was opened',
      ({ message }: Error) => message.replace(path, 'FILE'),
    )
  const none =
    'FILE: it holds no classifier; give the file that kindred eval finetune saves, or make one with it'
  assert.is(await refusal(file({ 'classifier.bias': null })), none)
  assert.is(await refusal(file({}, { a: 1 })), none)
  assert.is(await refusal(file({}, [])), none)
  assert.is(await refusal(file({}, [1, 2, 3])), none)
  assert.is(
    await refusal(file({}, ['a', 'b'])),
    `FILE: classifier.weight must be F32 [2, ${F}], as the file has 2 classes, got [3, ${F}]`,
  )
  assert.is(
    await refusal(file({}, ['a', 'b', 'a'])),
    "FILE: its classes must have a name each, got 'a' twice; give each its own, and make the file again with kindred eval finetune",
  )
  const whole32 = { shape: [3, F], data: new Int32Array(3 * F) }
  assert.is(
    await refusal(file({ 'classifier.weight': whole32 })),
    `FILE: classifier.weight must be F32 [3, ${F}], as the file has 3 classes, got Int32Array`,
  )
  const wide = { shape: [3, 9], data: new Float32Array(27) }
  const other = await openClassifier(file({ 'classifier.weight': wide }))
  const failed = await other.buildClassifier(gpu).then(
    () => 'was built',
    ({ message }: Error) => message,
  )
  assert.match(failed, /classifier\.weight must be \[3, 8\], got \[3, 9\]$/)
  rmSync(dir, { recursive: true })
})

test('refuses a file that is not as it was saved, and opens one of before digests', async ({
  gpu,
}) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-classifier-'))
  const path = join(dir, 'network.safetensors')
  const { model } = networksOf(gpu, config, 'features')
  const tensors = new Map([
    ...(await saveModel(gpu, model)),
    ['classifier.weight', { shape: [2, F], data: Float32Array.from(random(2 * F, 1)) }] as const,
    ['classifier.bias', { shape: [2], data: new Float32Array(2) }] as const,
  ])
  const given = { config, tensors, classes: ['cat', 'dog'], about: {} }
  const bytes = encodeClassifier(given)
  const names = (classes: readonly string[], isStamped = true) =>
    changed(bytes, { names: classes, isStamped })
  const damage = [changed(bytes, { sign: -1 }), names(['dog', 'cat']), names(['cat', 'cat'])]
  for (const bad of damage) {
    writeFileSync(path, bad)
    await refusesAll([
      [
        'damage',
        () => openClassifier(path),
        `${path}: its contents are not what was saved; the file is damaged`,
      ],
    ])
  }
  for (const good of [bytes, changed(bytes, {}), names(['cat', 'dog'], false)]) {
    writeFileSync(path, good)
    assert.equal((await openClassifier(path)).classes, ['cat', 'dog'])
  }
  const encoded = (...classes: readonly unknown[]) =>
    call(encodeClassifier, { ...given, classes: classes.length === 1 ? classes[0] : classes })
  const rule = 'encodeClassifier: classes must be an array of names, at least one'
  await refusesAll([
    [
      'one name for two',
      () => encoded('a', 'a'),
      "encodeClassifier: classes must have a name each, got 'a' twice; give each its own",
    ],
    ['none', () => encoded([]), `${rule}, got an empty array`],
    ['numbers', () => encoded(1, 2), `${rule}, got an array of 2`],
  ])
  rmSync(dir, { recursive: true })
})

/** What is changed in a file. */
interface Change {
  /** Factor of the classifier's weights. */
  readonly sign?: number
  /** Names of the classes. */
  readonly names?: unknown
  /** False leaves the digest out. */
  readonly isStamped?: boolean
}

/** Changes a file of a network as damage does, and leaves its digest as it was. */
function changed(bytes: Uint8Array, { sign = 1, names, isStamped = true }: Change): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(bytes)
  const { [DIGEST]: digest, ...about } = metadata
  for (const value of [tensors.get('classifier.weight')?.data])
    if (value instanceof Float32Array) value.set(value.map((x) => sign * x))
  return encodeSafetensors({
    tensors,
    metadata: {
      ...about,
      ...(names !== undefined && { classes: JSON.stringify(names) }),
      ...(isStamped && digest !== undefined && { [DIGEST]: digest }),
    },
  })
}

test.run()
