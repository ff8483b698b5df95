// Tests that config.json is checked as a whole, as `kindred` reads it and as people edit it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkConfig } from '../../training/check-config.ts'
import { configOf } from '../../training/config.ts'
import { nearestName } from '../../kernels/options.ts'
import { methods } from '../../methods/registry.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite('config.json')

type Json = Record<string, unknown>

/** A value as it comes out of a file. */
const saved = (config: object) => JSON.parse(JSON.stringify(config)) as Json

/** MoCo's configuration with some fields replaced; undefined leaves one out. */
const edited = (fields: Json) => saved({ ...configOf('moco', { batch: 16 }, false), ...fields })

test('of every preset is right, and is read as it was written', () => {
  const of = (preset: string) => ({ preset, size: 64, data: 'folder:x' })
  for (const { name, presets } of methods.values())
    for (const preset of Object.keys(presets)) {
      const config = saved(configOf(name, of(preset), false))
      assert.equal(checkConfig(config, 'x'), config, preset)
    }
})

test('that says nothing of precision and activations was made in f32', () => {
  const config = checkConfig(edited({ precision: undefined, activations: undefined }), 'x')
  assert.equal([config.precision, config.activations], ['f32', 'f32'])
})

test('with several wrong fields has all of them named, each with its rule', () => {
  const wrong = edited({
    batch: '64',
    schedule: { name: 'cosin', lr: 0.1, warmupEpochs: 0 },
    temprature: 1,
    temperature: -1,
    seed: undefined,
    model: { name: 'resnet8', width: 3.5, zeroInitResidual: 0, widht: 3, stem: undefined },
    head: { style: 'q', dim: 3 },
    queue: 0,
    zzzzzzzz: 1,
    views: { crop: { scale: [1, 0.2] }, normalize: { mean: [1, 2], std: [1, 0, 1] } },
    history: [{ step: 1 }],
  })
  const known =
    'method, preset, data, dataFromRun, size, subset, seed, precision, activations, checkpointEvery, about, history, knn, model, views, temperature, optimizer, schedule, batch, chunk, epochs, head, queue, momentum, symmetric, bnSplits, shuffle'
  const lines = [
    'runs/a/config.json: 17 fields are wrong; mend the file',
    '  seed: is missing; it must be a whole number from 0 to 4294967295',
    '  history[0].changes: is missing; it must be an object',
    '  model.stem: is missing; it must be one of cifar, imagenet',
    '  model.width: must be a whole number from 1 to 2048, got 3.5',
    '  model.zeroInitResidual: must be true or false, got 0',
    '  views.crop.scale: must be [low, high] with 1.2e-38 <= low <= high <= 1, got [1,0.2]',
    '  views.normalize.mean[2]: is missing; it must be a number from -3.4e38 to 3.4e38',
    '  views.normalize.std[1]: must be a number from 1.2e-38 to 3.4e38, got 0',
    '  temperature: must be a number from 1.2e-38 to 3.4e38, got -1',
    '  schedule.name: must be one of constant, cosine, cosine-by-epoch, step, got "cosin"',
    '  batch: must be a whole number from 2 on, got "64"',
    '  head.style: must be one of linear, mlp, v3, got "q"',
    '  queue: must be a whole number from 1 on, or null, got 0',
    '  temprature: is not known; did you mean temperature?',
    '  model.widht: is not known; did you mean model.width?',
    `  zzzzzzzz: is not known; known are ${known}`,
  ]
  let told = ''
  try {
    checkConfig(wrong, 'runs/a/config.json')
  } catch (error) {
    told = error instanceof Error ? error.message : ''
  }
  const [first, ...others] = lines
  assert.equal(told.split('\n').slice(1).sort(), others.sort())
  assert.is(told.split('\n')[0], first?.replace('17', String(others.length)))
})

const single: [what: string, fields: Json, line: string][] = [
  [
    'an unknown method',
    { method: 'mocco' },
    'method: must be one of simclr, moco, memory-bank, end-to-end, amdim, got "mocco"; did you mean moco?',
  ],
  [
    'no method',
    { method: undefined },
    'method: must be one of simclr, moco, memory-bank, end-to-end, amdim, got none',
  ],
  [
    'splits that do not divide the batch',
    { bnSplits: 3 },
    'bnSplits: must divide the batch of 16, got 3; give bnSplits 2 or another batch',
  ],
  [
    'a chunk of too few images',
    { chunk: 4 },
    'chunk: each chunk is split for batch norm, so it must hold 2 images or more for each of the 8 of bnSplits, got 4 of a batch of 16 in chunks of 4',
  ],
  ['no queue without v3', { queue: null }, 'queue: must be a number with head.style mlp, got null'],
  [
    'a queue with v3',
    { head: { style: 'v3', hidden: 4, dim: 8 } },
    'queue: must be null with head.style v3, got 256',
  ],
  ['one recipe of two', { views: [{}] }, 'views[1]: is missing; it must be an object'],
  [
    'a field of a second recipe',
    { views: [{}, { flipp: 1 }] },
    'views[1].flipp: is not known; did you mean views[1].flip?',
  ],
  [
    'a number too large for numbers',
    { epochs: 1e300 },
    'epochs: must be a whole number from 1 on, got 1e+300',
  ],
  [
    'a temperature without a reciprocal in f32',
    { temperature: 1e-39 },
    'temperature: must be a number from 1.2e-38 to 3.4e38, got 1e-39',
  ],
  [
    "a rate beyond f32's range",
    { schedule: { name: 'cosine', lr: 1e39, warmupEpochs: 0 } },
    'schedule.lr: must be a number from 1.2e-38 to 3.4e38, got 1e+39',
  ],
  [
    "a decay beyond f32's range",
    { optimizer: { name: 'sgd', weightDecay: 1e39 } },
    'optimizer.weightDecay: must be a number from 0 to 3.4e38, got 1e+39',
  ],
  [
    "a mean beyond f32's range",
    { views: { normalize: { mean: [0, -1e39, 0], std: [1, 1, 1] } } },
    'views.normalize.mean[1]: must be a number from -3.4e38 to 3.4e38, got -1e+39',
  ],
  [
    "a blur beyond f32's range",
    { views: { blur: { sigma: [0.1, 1e39] } } },
    'views.blur.sigma: must be [low, high] with 1.2e-38 <= low <= high <= 3.4e38, got [0.1,1e+39]',
  ],
  [
    'a temperature of votes that is 0 in f32',
    { knn: { every: 1, k: null, temperature: 1e-60, bank: null, queries: null } },
    'knn.temperature: must be a number from 1.2e-38 to 3.4e38, got 1e-60',
  ],
  ['no model', { model: null }, 'model: must be an object, got null'],
  ['text for a list', { history: 'none' }, 'history: must be a list of changes, got "none"'],
]
for (const [what, fields, line] of single)
  test(`with ${what} is refused with the rule`, () =>
    refuses(
      () => checkConfig(edited(fields), 'c'),
      `c: 1 field is wrong; mend the file\n  ${line}`,
    ))

test('of AMDIM has milestones in order', () => {
  const config = configOf('amdim', {}, false)
  const schedule = { ...config.schedule, milestones: [280, 250] }
  refuses(
    () => checkConfig(saved({ ...config, schedule }), 'c'),
    'c: 1 field is wrong; mend the file\n  schedule.milestones: must be a list of epochs in rising order, got [280,250]',
  )
})

test('of AMDIM has sizes that its encoder has layers for', () => {
  const config = saved({ ...configOf('amdim', {}, false), size: 40 })
  refuses(
    () => checkConfig(config, 'c'),
    'c: 1 field is wrong; mend the file\n  size: maps must reach sides of 7, 5 and 1, got 38, 38, 18, 9, 9, 7, 5, 3, 3 for images of 40 px; use 32, 64 or 128',
  )
})

test('suggests the nearestName word, and none that is far', () => {
  const words = ['temperature', 'epochs', 'batch', 'lr']
  const pairs = {
    temprature: 'temperature',
    epoch: 'epochs',
    bacth: 'batch',
    BATCH: 'batch',
    rl: 'lr',
    x: undefined,
  }
  for (const [given, word] of Object.entries(pairs))
    assert.is(nearestName(given, words), word, given)
  assert.is(nearestName('momentum', words), undefined)
})

test.run()
