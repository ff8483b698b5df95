// Tests the choice of an encoder on the command line: transformers and their settings.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { planOf } from '../../cli/compare-plan.ts'
import { load } from '../../engine/node-files.ts'
import { patchOf } from '../../methods/settings/encoders.ts'
import { type ConfigOptions, configFrom } from '../../training/config.ts'
import { kindred } from '../fixtures/cli.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite<{ dir: string }>('encoders on the command line')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-encoders-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

test("a transformer trains, has timm's names in its checkpoint", async ({ dir }) => {
  const out = join(dir, 'vit')
  const tiny = '--data procedural:16,8 --size 16 --batch 8 --epochs 1 --model vit-tiny --patch 8'
  const {
    code,
    out: said,
    err,
  } = await kindred(...['train', 'simclr', ...tiny.split(' '), '--drop-path', '0.1', '--out', out])
  assert.is(code, 0, err)
  assert.match(said, /vit-tiny of patches of 8 px on 16 images/)
  assert.not.match(said, /was not replayed/)
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as { model: object }
  assert.equal(config.model, { name: 'vit-tiny', patch: 8, dropPath: 0.1 })
  const { tensors } = await load(join(out, 'checkpoints', 'step-00000002.safetensors'))
  assert.equal(tensors.get('pos_embed')?.shape, [1, 5, 192])
  assert.equal(tensors.get('blocks.11.attn.qkv.weight')?.shape, [576, 192])
})

const configured = (options: ConfigOptions) => configFrom('simclr', options, true)

test('each encoder has settings of its own', () => {
  const of = (options: ConfigOptions) => configured(options).model as object
  assert.equal(of({ model: 'vit-small' }), { name: 'vit-small' })
  assert.equal(of({ model: 'resnet18', width: 8 }), {
    ...{ name: 'resnet18', stem: 'cifar', width: 8, zeroInitResidual: false },
  })
  refuses(
    () => configured({ model: 'vit-tiny', width: 8 }),
    '--width: vit-tiny has no such setting; leave it out',
  )
  refuses(() => configured({ patch: 8 }), '--patch: resnet8 has no such setting; leave it out')
  refuses(
    () => configured({ model: 'vit-tiny', patch: 5 }),
    '--patch: must divide the size of 32, got 5; give 4',
  )
})

test('the stem of ConvNeXt follows the size', () => {
  const of = (options: ConfigOptions) => configured({ model: 'convnext-tiny', ...options })
  assert.equal(of({ patch: 2 }).model, { name: 'convnext-tiny', patch: 2 })
  refuses(
    () => of({ patch: 5 }),
    '--patch: must be at most an eighth of the size of 32, got 5; give 1',
  )
})

test('compare gives a width to encoders that have one', () => {
  assert.is(planOf({}).width, 8)
  assert.is(planOf({ model: 'resnet18' }).width, 8)
  assert.is(planOf({ model: 'vit-tiny' }).width, undefined)
  assert.is(planOf({ model: 'vit-tiny', width: 4 }).width, 4) // which --width then refuses
})

test('patches are as large as they can be, in a grid of 8 x 8 or more', () => {
  assert.equal([224, 96, 64, 32, 28, 16, 15].map(patchOf), [16, 8, 8, 4, 2, 2, 1])
})

test.run()
