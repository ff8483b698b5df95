// Encoders come out of other programs' files, prefixes and all.

import * as assert from 'uvu/assert'
import type { SavedTensor } from '../../engine/safetensors.ts'
import { importModel } from '../../models/import-model.ts'
import { resnet8 } from '../../models/resnet.ts'
import { saveModel, variablesOf } from '../../models/state.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('importing')

const prefixed = (prefix: string, saved: ReadonlyMap<string, SavedTensor>) =>
  new Map([...saved].map(([name, tensor]) => [`${prefix}${name}`, tensor] as const))

for (const prefix of ['', 'module.', 'module.encoder_q.', 'backbone.', 'encoder.'])
  test(`an encoder under '${prefix}' is loaded to the bit`, async ({ gpu }) => {
    const [from, to] = [resnet8(gpu, { width: 2, seed: 1 }), resnet8(gpu, { width: 2, seed: 2 })]
    const bn1 = from.norms['bn1']
    if (bn1) bn1.batches = 7
    const fc: SavedTensor = { shape: [3, 8], data: new Float32Array(24) }
    const saved = prefixed(prefix, await saveModel(gpu, from))
    const others = [
      [`${prefix}fc.weight`, fc],
      ['module.encoder_k.bn1.weight', { shape: [2], data: new Float32Array(2) }],
    ] as const
    const imported = importModel(gpu, to, new Map([...saved, ...others]))
    assert.is(imported.prefix, prefix)
    assert.is(imported.loaded.length, saved.size)
    assert.equal(
      imported.ignored,
      others.map(([name]) => name),
    )
    assert.is(to.norms['bn1']?.batches, 7)
    for (const [name, variable] of Object.entries(variablesOf(to)))
      assert.equal(
        await gpu.read(variable),
        await gpu.read(variablesOf(from)[name] ?? variable),
        name,
      )
  })

test('of two encoders one must be chosen, but for one without a prefix', async ({ gpu }) => {
  const saved = await saveModel(gpu, resnet8(gpu, { width: 2, seed: 1 }))
  const [q, k] = ['module.encoder_q.', 'module.encoder_k.'].map((one) => prefixed(one, saved))
  const to = resnet8(gpu, { width: 2 })
  const refusal =
    "importModel: the model's tensors are under 2 prefixes, 'module.encoder_q.', 'module.encoder_k.'; choose one, such as { prefix: 'module.encoder_q.' }"
  const both = new Map([...(q ?? []), ...(k ?? [])])
  const lacking = new Map([...both].filter(([name]) => !name.endsWith('.conv1.weight')))
  await refusesAll([
    ['query and key', () => importModel(gpu, to, both), refusal],
    ['both without a tensor', () => importModel(gpu, to, lacking), refusal],
  ])
  assert.is(importModel(gpu, to, new Map([...both, ...saved])).prefix, '')
  assert.is(importModel(gpu, to, both, { prefix: 'module.encoder_k.' }).loaded.length, saved.size)
})

test('a prefix that is given is the only one', async ({ gpu }) => {
  const [query, key] = [resnet8(gpu, { width: 2, seed: 1 }), resnet8(gpu, { width: 2, seed: 3 })]
  const [q, k] = [await saveModel(gpu, query), await saveModel(gpu, key)]
  const file = new Map([...prefixed('q.', q), ...prefixed('k.', k)])
  const to = resnet8(gpu, { width: 2 })
  importModel(gpu, to, file, { prefix: 'k.' })
  const [got, want] = [to, key].map((model) =>
    gpu.read(variablesOf(model)['conv1.weight'] as never),
  ) // it has one
  assert.equal(await got, await want)
})

test('what does not fit is listed, and nothing changes', async ({ gpu }) => {
  const to = resnet8(gpu, { width: 2 })
  const conv1 = variablesOf(to)['conv1.weight']
  if (!conv1) throw new Error('no conv1')
  const before = await gpu.read(conv1)
  const saved = prefixed('encoder.', await saveModel(gpu, resnet8(gpu, { width: 2, seed: 1 })))
  saved.delete('encoder.layer1.0.bn2.bias')
  saved.set('encoder.bn1.weight', { shape: [4], data: new Float32Array(4) })
  await refusesAll([
    [
      'two faults',
      () => importModel(gpu, to, saved),
      "importModel: 2 of the model's 45 tensors do not fit, under the prefix 'encoder.'; choose the encoder and its width as in the file, whose first name is encoder.conv1.weight\n" +
        '  encoder.bn1.weight is [4], the model needs [2]\n' +
        '  encoder.layer1.0.bn2.bias [2] is missing',
    ],
    [
      'no Map',
      () => importModel(gpu, to, {} as never), // as JavaScript may
      "importModel: tensors must be a Map, as load's tensors are, got an empty object",
    ],
  ])
  const broken = prefixed('encoder.', await saveModel(gpu, resnet8(gpu, { width: 2, seed: 1 })))
  broken.set('encoder.bn1.weight', { shape: [2], data: Float32Array.of(1, NaN) })
  await refusesAll([
    [
      'a NaN',
      () => importModel(gpu, to, broken),
      'importModel: values are not finite, in encoder.bn1.weight; load a checkpoint from before that training diverged',
    ],
  ])
  assert.equal(await gpu.read(conv1), before)
})

test.run()
