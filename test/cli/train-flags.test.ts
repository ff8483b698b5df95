// Tests how the flags of kindred train change a preset.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { MocoSettings } from '../../methods/presets/moco-papers.ts'
import type { TrainConfig } from '../../training/run-schema.ts'
import { type ConfigOptions, configOf } from '../../training/config.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite('flags of kindred train')

const moco = (flags: ConfigOptions) =>
  configOf('moco', flags, false) as unknown as TrainConfig<MocoSettings> // as its rules say

test('the cosine of the CIFAR-10 demo begins at its second epoch at its own length only', () => {
  const data = 'cifar10:x'
  const first = (flags: ConfigOptions) => moco({ data, ...flags }).schedule.firstEpoch
  assert.equal([first({}), first({ epochs: 200 })], [1, 1])
  assert.equal([first({ epochs: 1 }), first({ epochs: 40 }), first({ epochs: 400 })], [0, 0, 0])
  assert.is(configOf('end-to-end', { data, epochs: 3 }, false).schedule.firstEpoch, 0)
  assert.is(first({ preset: 'moco-v2', epochs: 3 }), undefined)
  assert.is(moco({ data, epochs: 3, lr: 0.5 }).schedule.lr, 0.5)
})

test('a batch that is not given fits the images, and batch norm has two of them in each group', () => {
  const fitted = (images: number, flags: ConfigOptions = {}) => {
    const { batch, bnSplits, shuffle } = moco({ ...flags, images })
    return [batch, bnSplits, shuffle]
  }
  assert.equal(fitted(9), [4, 2, true])
  assert.equal(fitted(3), [2, 1, false])
  assert.equal(fitted(20), [8, 4, true])
  assert.equal(fitted(5000), [64, 8, true])
  assert.equal(fitted(5000, { bnSplits: 4 }), [64, 4, true])
  assert.is(moco({ data: 'cifar10:x', images: 20 }).schedule.lr, (0.06 * 8) / 512)
  assert.is(configOf('simclr', { images: 20 }, false).batch, 8)
  assert.is(configOf('amdim', { images: 20 }, false).batch, 8)
})

test('splits that do not suit a batch that is given are refused, with those that do', () => {
  const splits = (batch: number, bnSplits: number) => () => moco({ batch, bnSplits })
  refuses(
    () => moco({ batch: 12 }),
    '--bn-splits: must divide the batch of 12, got 8; give --bn-splits 6 or another --batch',
  )
  refuses(
    splits(7, 2),
    '--bn-splits: must divide the batch of 7, got 2; give --bn-splits 1 or another --batch',
  )
  refuses(
    splits(8, 8),
    '--bn-splits: must leave batch norm 2 images or more in each group, got 8 groups of a batch of 8; give --bn-splits 4 or another --batch',
  )
  refuses(
    () => moco({ images: 9, bnSplits: 4 }),
    '--bn-splits: must leave batch norm 2 images or more in each group, got 4 groups of a batch of 4; give --bn-splits 2 or another --batch',
  )
  assert.is(moco({ batch: 16, bnSplits: 8 }).bnSplits, 8)
  assert.is(moco({ batch: 16, bnSplits: 4, chunk: 8 }).chunk, 8)
  refuses(
    () => moco({ batch: 12, bnSplits: 4, chunk: 8 }),
    '--chunk: each chunk is split for batch norm, so it must hold 2 images or more for each of the 4 of --bn-splits, got 4 of a batch of 12 in chunks of 8',
  )
})

test('a batch of one image is refused by every method, with the reason', () => {
  const compared =
    '--batch: must be 2 or more, as images are compared with the others of their batch, got 1'
  refuses(() => configOf('simclr', { batch: 1 }, false), compared)
  refuses(() => configOf('end-to-end', { batch: 1 }, false), compared)
  refuses(() => moco({ batch: 1, preset: 'moco-v3-demo' }), compared)
  const normed = '--batch: must be 2 or more, as batch norm needs 2 images or more, got 1'
  refuses(() => configOf('memory-bank', { batch: 1 }, false), normed)
  refuses(() => moco({ batch: 1, bnSplits: 1 }), normed)
})

test('MoCo v3 has no use for what a queue wants', () => {
  const v3 = { preset: 'moco-v3-demo' }
  const rest = 'MoCo v3 has no queue, its loss is symmetric and its batch norm over the batch'
  refuses(() => moco({ ...v3, shuffle: false }), `--no-shuffle: ${rest}`)
  refuses(() => moco({ ...v3, queue: 8 }), `--queue: ${rest}`)
  assert.is(moco({ ...v3, shuffle: true }).shuffle, false) // as commander gives it
})

test('a loss is chosen by its name', () => {
  const lossOf = (loss: string) => (configOf('simclr', { loss }) as { loss?: unknown }).loss
  for (const name of ['nt-xent', 'dcl', 'dclw', 'sup-con', 'sig-lip']) assert.is(lossOf(name), name)
  refuses(
    () => lossOf('infonce'),
    '--loss: must be one of nt-xent, dcl, dclw, sup-con, sig-lip, got infonce',
  )
})

test.run()
