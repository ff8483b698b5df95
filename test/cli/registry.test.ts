// A method, a data source, an optimizer, a schedule and an encoder that only a test knows: each is
// one row of a table, and the whole command line takes it.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { programOf } from '../../cli/program.ts'
import { dataKinds } from '../../data/kinds.ts'
import { procedural } from '../../data/procedural.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { sub } from '../../kernels/elementwise/sub.ts'
import { type Rules, needed } from '../../kernels/options.ts'
import { mean } from '../../kernels/reduce/mean.ts'
import type { Encoder } from '../../methods/batch.ts'
import { entry, nothing } from '../../methods/entry.ts'
import { type Algorithm, type MethodOptions, method } from '../../methods/method.ts'
import { simclrPresets } from '../../methods/presets/simclr.ts'
import {
  type TowerSettings,
  stepOptions,
  towerMethod,
  towerOf,
  towerRules,
} from '../../methods/presets/tower.ts'
import { methods } from '../../methods/registry.ts'
import { encoders, widthRule } from '../../methods/settings/encoders.ts'
import { option } from '../../methods/settings/flags.ts'
import { projectionHeadRule } from '../../methods/settings/heads.ts'
import { optimizerOf, optimizers } from '../../methods/settings/optimizers.ts'
import { wordOf } from '../../methods/settings/rules.ts'
import { schedules } from '../../methods/settings/schedules.ts'
import { type StepOptions, optimizerRule, tower } from '../../methods/step-options.ts'
import { parametersOf } from '../../models/parts.ts'
import { resnet8 } from '../../models/resnet.ts'
import { type Tower, forwardTower } from '../../models/tower.ts'

interface AlignOptions extends MethodOptions {
  readonly query: Tower
}

const rules: Rules<Omit<AlignOptions, keyof StepOptions>> = {
  query: needed(tower),
  optimizer: needed(optimizerRule),
}

/** Both views of an image become alike, and nothing keeps others apart. */
const align: Algorithm<AlignOptions, Tower> = method('align', {
  rules,
  trains: ({ query }) => query,
  begin({ query }) {
    const f: Encoder = (x, mode) => forwardTower(query, x, mode)
    return {
      keeps: query,
      step(x) {
        const difference = sub(x.encode(f, 0), x.encode(f, 1))
        return { loss: mean(mul(difference, difference)) }
      },
    }
  },
})

interface AlignSettings extends TowerSettings {
  readonly strength: 'weak' | 'strong'
}

const alignEntry = entry<AlignSettings>({
  ...towerMethod,
  name: 'align',
  title: 'Align',
  about: 'both views of an image become alike',
  presets: {
    'align-demo': {
      about: 'a toy of a test',
      size: 32,
      settings(size, batch = 16) {
        const settings = simclrPresets['simclr-demo']?.settings(size, batch)
        if (!settings) throw new Error('there is no simclr-demo')
        const { loss: _loss, batchNorm: _norm, ...shared } = settings
        return { ...shared, strength: 'weak' }
      },
    },
  },
  presetFor: () => 'align-demo',
  presetWords: 'The preset is align-demo.',
  rules: { ...towerRules, head: projectionHeadRule, strength: wordOf('weak', 'strong') },
  flags: [...towerMethod.flags, option('--strength <kind>', 'strength', 'word', 'weak or strong')],
  build(gpu, settings, extent) {
    const query = towerOf(gpu, settings)
    const optimizer = optimizerOf(settings, parametersOf(query))
    const { temperature: _, ...options } = stepOptions(settings, extent)
    const trainer = align(gpu, { ...options, query, optimizer })
    return { ...trainer, optimizer, schedule: options.schedule, kept: nothing }
  },
})

const test = suite<{ dir: string }>('the registry')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-registry-'))
  methods.set('align', alignEntry)
  dataKinds.set('toy', {
    form: 'toy',
    about: 'of a test',
    path: false,
    side: 32,
    open: (_, { seed = 0 }) => procedural({ size: 32, seed, train: 48, test: 20 }),
  })
  optimizers.set('sign', {
    rules: {},
    make: (parameters, { weightDecay }) => new Sgd(parameters, { weightDecay, momentum: 0.5 }),
  })
  schedules.set('half', { rules: {}, make: ({ lr }) => constant(lr / 2) })
  encoders.set('resnet-tiny', {
    rules: { width: widthRule },
    make: (gpu, { width = 1, seed }) => resnet8(gpu, { width, seed, stem: 'imagenet' }),
  })
})
test.after(({ dir }) => {
  rmSync(dir, { recursive: true })
  methods.delete('align')
  dataKinds.delete('toy')
  optimizers.delete('sign')
  schedules.delete('half')
  encoders.delete('resnet-tiny')
})

/** Runs a command in this process, and returns its exit code and what it printed. */
async function run(...args: readonly string[]) {
  let out = ''
  const write = process.stdout.write.bind(process.stdout)
  process.stdout.write = (text: string | Uint8Array) => {
    out += String(text)
    return true
  }
  try {
    const code = await new Promise<number>((tell, fail) => {
      try {
        programOf((running) => running.then(tell, fail)).parse(['node', 'kindred', ...args])
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)))
      }
    })
    return { code, out }
  } finally {
    process.stdout.write = write
  }
}

const tiny = ['--data', 'toy', '--model', 'resnet-tiny', '--width', '2', '--batch', '16'] as const
const settings = ['--set', 'optimizer.name=sign', '--set', 'schedule.name=half'] as const

const metrics = (dir: string) => readFileSync(join(dir, 'metrics.jsonl'), 'utf8')
const last = (dir: string) =>
  readFileSync(join(dir, 'checkpoints', readdirSync(join(dir, 'checkpoints')).sort().at(-1) ?? ''))

test('a method trains, is measured, saved, lengthened and read again', async ({ dir }) => {
  const [whole, cut] = [join(dir, 'whole'), join(dir, 'cut')]
  const first = await run('train', 'align', ...tiny, ...settings, '--epochs', '2', '--out', whole)
  assert.is(first.code, 0, first.out)
  assert.match(first.out, /Align: resnet-tiny of width 2 on 48 images of procedural, batch 16/)
  const config = JSON.parse(readFileSync(join(whole, 'config.json'), 'utf8')) as {
    readonly method: string
    readonly optimizer: { readonly name: string }
    readonly strength: string
  }
  assert.equal([config.method, config.optimizer.name, config.strength], ['align', 'sign', 'weak'])
  assert.match(metrics(whole), /"lr":0\.0015/) // half of 3e-3
  await run('train', 'align', ...tiny, ...settings, '--epochs', '1', '--out', cut)
  const rest = await run('train', 'align', '--resume', cut, '--epochs', '2')
  assert.is(rest.code, 0, rest.out)
  assert.ok(last(cut).equals(last(whole)), 'resumed to other bits')
  const measured = await run('eval', 'knn', whole, '--json')
  assert.match(measured.out, /"trained":/)
})

test('all of it is listed, and refused by its own words', async ({ dir }) => {
  const { out } = await run('presets')
  assert.match(out, /train align --preset \.\.\.\n {2}align-demo +a toy of a test/)
  assert.match((await run('presets', 'align-demo')).out, /strength = "weak"/)
  const help = programOf(() => {})
    .commands.find((command) => command.name() === 'train')
    ?.commands.find((command) => command.name() === 'align')
    ?.helpInformation()
  assert.match(help ?? '', /--strength <kind> +weak or strong/)
  assert.match(help ?? '', /toy \(of a test\)/)
  const refused = (...args: readonly string[]) =>
    run('train', 'align', ...tiny, '--out', join(dir, 'none'), ...args).then(
      () => 'was not refused',
      (error: Error) => error.message,
    )
  assert.is(await refused('--strength', 'odd'), '--strength: must be one of weak, strong, got odd')
  assert.is(
    await refused('--set', 'optimizer.name=sing'),
    '--set: optimizer.name: must be one of adam, lars, sgd, sign, got "sing"',
  )
})

test.run()
