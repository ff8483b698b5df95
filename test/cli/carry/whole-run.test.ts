// A run leaves as one file and comes back, and goes on with the same bits.

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { procedural } from '../../../data/procedural.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { runFolder } from '../../../run-folder/open.ts'
import { configOf } from '../../../training/config.ts'
import { MemoryStorage } from '../../../training/memory-storage.ts'
import { packRun } from '../../../training/pack.ts'
import type { TrainingEvent } from '../../../training/progress.ts'
import type { TrainingStorage } from '../../../training/storage.ts'
import { train } from '../../../training/train.ts'
import { unpackRun } from '../../../training/unpack.ts'
import { kindred } from '../../fixtures/cli.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { bitsOf } from '../../fixtures/stored-bits.ts'

const test = gpuSuite('whole runs')
const data = procedural({ train: 48, test: 20 })
const config = configOf('simclr', {
  ...{ data: 'procedural:48,20', preset: 'simclr-demo', model: 'resnet8', stem: 'imagenet' },
  ...{ width: 2, batch: 16, epochs: 3, knnEvery: 0 },
})

/** Trains an epoch, and saves there. */
async function trainOn(gpu: Gpu, storage: TrainingStorage) {
  const stop = new AbortController()
  // a loss is told two steps late: in the last of three steps
  const onEvent = ({ event }: TrainingEvent) => event === 'step' && stop.abort()
  const { step } = await train(gpu, data, storage, { signal: stop.signal, onEvent })
  return step
}

test('a run goes to a page and comes back, and ends with the bits of one that never left', async ({
  gpu,
}) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-whole-'))
  const at = (name: string) => join(dir, name)
  const whole = new MemoryStorage(config)
  await train(gpu, data, whole)

  const begun = await runFolder(at('begun'), config)
  assert.is(await trainOn(gpu, begun), 3)
  await begun.close()
  const out = await kindred('export', at('begun'), '--to', at('run.zip'), '--json')
  assert.is(out.code, 0, out.err)
  const told = JSON.parse(out.out) as { kind: string; bytes: number }
  assert.equal([told.kind, told.bytes], ['zip', readFileSync(at('run.zip')).length])
  const again = await kindred('export', at('begun'), '--to', at('run.zip'))
  assert.match(again.err, /--to: .*run\.zip exists; add --force to replace it/)

  // as in a page: in memory, from the bytes of the file
  const inPage = await unpackRun(new Uint8Array(readFileSync(at('run.zip'))))
  assert.is(await trainOn(gpu, inPage), 6)
  writeFileSync(at('back.zip'), new Uint8Array(await (await packRun(inPage)).arrayBuffer()))

  const back = await kindred('import', at('back.zip'), '--out', at('back'))
  assert.is(back.code, 0, back.err)
  assert.match(back.out, /run folder: .*back, at step 6\n/)
  assert.equal(readdirSync(at('back')).sort(), ['checkpoints', 'config.json', 'metrics.jsonl'])
  const folder = await runFolder(at('back'))
  assert.ok((await train(gpu, data, folder)).finished)
  assert.equal(await folder.metrics(), await whole.metrics())
  assert.equal(await bitsOf(folder), await bitsOf(whole))
  await folder.close()
  rmSync(dir, { recursive: true })
})

test('what does not fit is refused in words, and leaves nothing behind', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-whole-'))
  const at = (name: string) => join(dir, name)
  writeFileSync(at('text.zip'), 'PK is no zip')
  const wrong: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['import', at('text.zip'), '--out', at('a')], 1, /text\.zip: it is cut short or damaged/],
    [['import', at('none.zip'), '--out', at('a')], 1, /none\.zip: there is no such file/],
    [
      ['import', at('text.zip'), '--out', at('a'), '--model', 'resnet8'],
      2,
      /--model: a packed run has its own; leave it out/,
    ],
    [['import', at('w.safetensors'), '--out', at('a')], 2, /--model: is missing; name the encoder/],
    [['export', at('none'), '--to', at('a.zip')], 1, /none/],
    [
      ['export', at('none'), '--to', at('a.zip'), '--checkpoint', 'best'],
      2,
      /--checkpoint: a \.zip holds the newest and the best; leave it out/,
    ],
    [['export', at('none'), '--to', at('a.tar')], 2, /must end in \.onnx, \.safetensors or \.zip/],
  ]
  for (const [args, code, words] of wrong) {
    const told = await kindred(...args)
    assert.is(told.code, code, told.err)
    assert.match(told.err, words)
  }
  assert.not.ok(existsSync(at('a')))
  assert.equal(readdirSync(dir), ['text.zip'])
  rmSync(dir, { recursive: true })
})

test.run()
