// Tests that --set and --config change any leaf of any preset, and nothing else.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { wrongFields } from '../../training/check-config.ts'
import type { TrainConfig } from '../../training/run-schema.ts'
import { configOf } from '../../training/config.ts'
import { changesBetween, leaves } from '../../training/history.ts'
import { type Overrides, readOverrides, settled } from '../../cli/overrides.ts'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { methods } from '../../methods/registry.ts'
import { temperatureBy } from '../../methods/settings/temperatures.ts'
import { kindred } from '../fixtures/cli.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite<{ dir: string }>('settings by path')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-set-'))
})
test.after(({ dir }) => rmSync(dir, { recursive: true }))

const none: Overrides = { file: null, path: '', set: [] }
const setting = (...set: string[]): Overrides => ({ file: null, path: '', set })
const decided = /^(method|preset|data)$/

/** Other values that a leaf might take. */
const others = (value: unknown): unknown[] => {
  if (typeof value === 'number') return [value / 2, value * 2, value + 1, value - 1, 1, 0.5]
  if (typeof value === 'boolean') return [!value]
  if (Array.isArray(value))
    return [value.map((v: number) => v / 2), value.map((v: number) => v / 2 + 0.3), [1, 2]]
  if (value === null) return [3, 64]
  return [
    'cifar',
    'imagenet',
    'resnet18',
    'resnet50',
    'sgd',
    'adam',
    'lars',
    'constant',
    'cosine',
    'nce',
    'dcl',
    'infonce',
    'joint',
    'per-view',
    'linear',
    'mlp',
    'paper',
    'leftthomas',

    'f16',
    'embedding',
    'features',
    'bicubic',
    'bilinear',
  ]
}

/** The configuration with one leaf set to the first other value that the rules allow. */
function withLeaf(
  method: string,
  preset: string,
  path: string,
  value: unknown,
): TrainConfig | null {
  for (const other of others(value)) {
    if (JSON.stringify(other) === JSON.stringify(value)) continue
    const text = typeof other === 'string' ? other : JSON.stringify(other)
    try {
      return settled(method, { preset }, false, setting(`${path}=${text}`)).config
    } catch {
      // not allowed: another
    }
  }
  return null
}

test('every leaf of every preset can be set, and nothing else changes', () => {
  let set = 0
  const fixed: string[] = []
  for (const { name: method, presets } of methods.values())
    for (const preset of Object.keys(presets)) {
      const { config } = settled(method, { preset }, false, none)
      for (const [path, value] of leaves(config)) {
        if (decided.test(path)) continue
        const changed = withLeaf(method, preset, path, value)
        if (changed === null) fixed.push(path)
        else assert.equal(Object.keys(changesBetween(config, changed)), [path], `${preset} ${path}`)
        set++
      }
    }
  assert.ok(set > 600, `${set} leaves`)
  const alone = new Set([
    'head.style',
    'model.name',
    'optimizer.name',
    'schedule.name',
    'queue',
    'model.features',
    'bnSplits',
  ])
  assert.equal(
    fixed.filter((path) => !alone.has(path)),
    [],
    'of these a rule allows but one value',
  )
})

test('a temperature may go from one number to another', () => {
  const at = (text: string) =>
    settled('simclr', { preset: 'simclr-demo' }, false, setting(`temperature=${text}`)).config
  const ramp = { from: 0.5, to: 0.1 }
  assert.equal(Reflect.get(at(JSON.stringify(ramp)), 'temperature'), ramp)
  refuses(
    () => at('{"from":0.5,"to":0}'),
    '--set: temperature.to: must be a number from 1.2e-38 to 3.4e38, got 0',
  )
  refuses(
    () => at('{"from":0.5,"until":1}'),
    `--set: 2 fields are wrong
  temperature.to: is missing; it must be a number from 1.2e-38 to 3.4e38
  temperature.until: is not known; known are from, to`,
  )
  const of = temperatureBy({ temperature: ramp, epochs: 2 }, 5)
  assert.ok(typeof of === 'function')
  if (typeof of === 'function') assert.equal([of(0), of(10)], [0.5, 0.1])
  assert.is(temperatureBy({ temperature: 0.2, epochs: 2 }, 5), 0.2)
})

test('a configuration is its own file', async ({ dir }) => {
  for (const { name: method, presets } of methods.values())
    for (const preset of Object.keys(presets)) {
      const { config } = settled(method, { preset }, false, setting('epochs=3'))
      const path = join(dir, `${preset}.json`)
      writeFileSync(path, JSON.stringify({ ...config, about: { node: 'v1' } }))
      const overrides = await readOverrides(method, { config: path })
      const again = settled(method, { preset }, false, overrides)
      assert.equal(again.config, config, preset)
      assert.equal(Object.keys(again.changes), ['epochs'])
    }
})

test('the file is over the preset, flags over the file, --set over all', () => {
  const method = 'simclr'
  const file = { temperature: 0.3, epochs: 7, schedule: { lr: 0.5 } }
  const { config } = settled(method, { preset: 'simclr-demo', epochs: 8 }, false, {
    file,
    path: 'f.json',
    set: ['batch=24'],
  })
  assert.equal([config.epochs, config.batch, config.schedule.lr], [8, 24, 0.5])
  assert.is(config.schedule.name, 'cosine', "the rest is the preset's")
  assert.equal(wrongFields(config), [])
})

test('a flag is over the file also where it says what the preset says', () => {
  const method = 'simclr'
  const lr = configOf('simclr', { preset: 'simclr-demo' }, false).schedule.lr
  const file = {
    preset: 'simclr-cifar10',
    data: 'folder:file',
    size: 16,
    seed: 3,
    schedule: { lr: 0.5 },
    views: { size: 16 },
  }
  const flags = { preset: 'simclr-demo', data: 'folder:flag', size: 64, lr, seed: 0 }
  const { config, changes } = settled(method, flags, false, { file, path: 'f.json', set: [] })
  assert.equal([config.preset, config.data, config.size], ['simclr-demo', 'folder:flag', 64])
  assert.equal([config.schedule.lr, config.seed], [lr, 0])
  assert.equal((config.views as Recipe).size, 64)
  assert.equal(changes, {})
})

test("a batch that few images lower differs from the preset's", () => {
  const batchOf = (flags: object, images: number, file: object | null = null) =>
    settled('simclr', { preset: 'simclr-cifar10', data: 'folder:f', ...flags, images }, false, {
      ...{ file: file && { ...file }, path: 'f.json', set: [] },
    }).changes['batch']
  assert.equal(batchOf({}, 75), { from: 512, to: 32 })
  assert.equal(batchOf({ batch: 16 }, 75), { from: 512, to: 16 })
  assert.equal(batchOf({}, 75, { epochs: 3 }), { from: 512, to: 32 })
  assert.equal(batchOf({}, 75, { batch: 64 }), { from: 512, to: 64 })
  assert.is(batchOf({}, 1024), undefined)
  const { changes } = settled(
    'simclr',
    { preset: 'simclr-imagenet', data: 'folder:f', size: 32, images: 75 },
    false,
    none,
  )
  assert.equal(Object.keys(changes), ['schedule.lr', 'batch'], 'its rate follows from the batch')
})

test('what cannot be set is refused in words', () => {
  const method = 'simclr'
  for (const [text, message] of [
    ['views.jiter.hue=0', '--set: views.jiter is not known; did you mean views.jitter?'],
    [
      'views.jitter.huge=0',
      '--set: views.jitter.huge: is not known; did you mean views.jitter.hue?',
    ],
    ['views.flp=0', '--set: views.flp: is not known; did you mean views.flip?'],
    ['temprature=1', '--set: temprature: is not known; did you mean temperature?'],
    ['temperature=-1', '--set: temperature: must be a number from 1.2e-38 to 3.4e38, got -1'],
    ['temperature=warm', '--set: temperature: must be a number from 1.2e-38 to 3.4e38, got "warm"'],
    ['epochs', '--set: must be PATH=VALUE, as in epochs=10, got epochs'],
    ['method=moco', '--set: method cannot be set; the command names the method'],
    ['preset=simclr-demo', '--set: preset cannot be set; give --preset'],
    ['history=[]', '--set: history cannot be set; it is no setting'],
    ['constructor.x=1', '--set: constructor is not known'],
    ['model.__proto__.a=1', '--set: model.__proto__ is not known'],
  ] as const)
    refuses(() => settled(method, { preset: 'simclr-demo' }, false, setting(text)), message)
})

test('a file that cannot be settings is refused in words', async ({ dir }) => {
  const write = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const refused = (config: string) =>
    readOverrides('simclr', { config }).then(
      () => 'nothing was said',
      (error: Error) => error.message,
    )
  const missing = join(dir, 'none.json')
  assert.is(
    await refused(missing),
    `--config: cannot read ${missing}; give a file such as config.json`,
  )
  const list = write('list.txt', 'epochs 3')
  assert.is(
    await refused(list),
    `--config: ${list} must be a JSON object, in the format of config.json; it is not a JSON object (line 1)`,
  )
  const twice = write('twice.json', '{ "epochs": 3,\n  "model": { "width": 4, "width": 8 } }')
  assert.is(
    await refused(twice),
    `--config: ${twice} must be a JSON object, in the format of config.json; it has the name 'width' twice (line 2)`,
  )
  assert.throws(
    () => settled('simclr', {}, false, setting('model={"width":4,"width":8}')),
    /^--set: model must be valid; it has the name 'width' twice \(line 1\)$/,
  )
  const moco = write('moco.json', '{ "method": "moco" }')
  assert.is(await refused(moco), `--config: ${moco} is of method "moco", not simclr`)
})

test("the command line says what is not the preset's, and keeps it", async ({ dir }) => {
  const out = join(dir, 'run')
  const tiny =
    '--data procedural:32,16 --preset simclr-demo --width 2 --size 16 --batch 16 --epochs 1'.split(
      ' ',
    )
  const first = await kindred('train', 'simclr', ...tiny, '--set', 'views.flip=0', '--out', out)
  assert.is(first.code, 0, first.err)
  assert.match(first.out, /\nnot as simclr-demo has it: .*views\.flip 0\.5 -> 0/)
  const kept: unknown = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  assert.match(JSON.stringify(kept), /"changes":\{.*"views\.flip":\{"from":0\.5,"to":0\}/)
  const bad = await kindred(
    'train',
    'simclr',
    ...tiny,
    '--set',
    'temprature=1',
    '--out',
    join(dir, 'no'),
  )
  assert.is(bad.code, 2)
  const shown = await kindred('presets', 'simclr-demo')
  assert.match(shown.out, /\n {2}views\.flip = 0\.5\n/)
})

test.run()
