// A checkpoint of another network is refused by its file's name, whatever the command.

import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { save } from '../../engine/node-files.ts'
import { openGpu } from '../../engine/node.ts'
import { resnet8 } from '../../models/resnet.ts'
import { saveModel } from '../../models/state.ts'
import { openRun } from '../../run-folder/open.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import { checkConfig } from '../../training/check-config.ts'
import { train } from '../../training/train.ts'
import { procedural } from '../../data/procedural.ts'
import { dataMetadata, digestsOf } from '../../training/fingerprint.ts'
import { settingsMetadata } from '../../training/history.ts'
import { sha256 } from '../../training/sha256.ts'
import { kindred } from '../fixtures/cli.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { seenSuite } from '../fixtures/seen.ts'

const test = seenSuite('a checkpoint of another network')

const wrong =
  'conv1.weight is [4, 3, 3, 3], the model needs [2, 3, 3, 3]; it is of another model or width'

test('every command names the file', async ({ run, dir, photos }) => {
  const gpu = await openGpu()
  const wide = join(dir, 'wide.safetensors')
  const tensors = await saveModel(gpu, resnet8(gpu, { width: 4 }))
  gpu.destroy()
  await save(wide, tensors)
  const data = ['--data', 'procedural:16,8']
  const given = ['--checkpoint', wide]
  const few = ['--labels', '1', '--seeds', '1', '--steps', '1']
  const commands = [
    ['eval', 'knn', run, ...data],
    ['eval', 'linear', run, ...data, '--epochs', '1'],
    ['eval', 'few-labels', run, ...data, ...few, '--out', join(dir, 'few')],
    ['embed', run, '--data', `folder:${photos}`, '--out', join(dir, 'rows.npy')],
    ['export', run, '--to', join(dir, 'encoder.safetensors')],
  ]
  for (const command of commands) {
    const { code, err } = await kindred(...command, ...given)
    assert.is(err.split('\n').at(-2), `kindred: ${wide}: ${wrong}`, command.join(' '))
    assert.is(code, 1)
  }
  const other = join(dir, 'other')
  cpSync(run, other, { recursive: true })
  const [name = ''] = readdirSync(join(other, 'checkpoints'))
  const newest = join(other, 'checkpoints', name)
  await save(newest, tensors, { step: '0' })
  for (const command of [
    ['report', other, ...data],
    ['embed', other, '--data', `folder:${photos}`, '--out', join(dir, 'rows.npy')],
  ]) {
    const { err } = await kindred(...command)
    assert.is(err.split('\n').at(-2), `kindred: ${newest}: ${wrong}`, command.join(' '))
  }
})

test('a training names its checkpoint, in a folder and in memory', async ({ run, dir }) => {
  const gpu = await openGpu()
  const config = checkConfig((await openRun(run)).config, 'run')
  const halves = procedural({ train: 8, test: 4, size: config.size })
  const tensors = await saveModel(gpu, resnet8(gpu, { width: 4 }))
  const images = dataMetadata(await digestsOf(halves, config, sha256))
  const metadata = { 'optimizer.t': '0', ...images, ...settingsMetadata(config) }
  const memory = new MemoryStorage(config, 'mine')
  await memory.saveCheckpoint(0, tensors, metadata)
  await refusesAsync(() => train(gpu, halves, memory), `mine: its checkpoint of step 0: ${wrong}`)
  const path = join(dir, 'resumed', 'checkpoints', 'step-00000000.safetensors')
  cpSync(run, join(dir, 'resumed'), { recursive: true })
  await save(path, tensors, { ...metadata, step: '0' })
  const folder = await openRun(join(dir, 'resumed'))
  await refusesAsync(() => train(gpu, halves, folder), `${path}: ${wrong}`)
  gpu.destroy()
})

test.run()
