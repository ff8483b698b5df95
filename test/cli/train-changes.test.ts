// Tests a training that diverges and resumes with another learning rate and length.

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { kindred, metricsOf } from '../fixtures/cli.ts'

const test = suite<{ run: string }>('changes of a run')
test.before((context) => {
  context.run = join(mkdtempSync(join(tmpdir(), 'kindred-changes-')), 'a run')
})
test.after(({ run }) => rmSync(join(run, '..'), { recursive: true, force: true }))

const config = (run: string) =>
  JSON.parse(readFileSync(join(run, 'config.json'), 'utf8')) as Record<string, unknown>

test('weights that are not finite are not saved, and the command that is printed goes on', async ({
  run,
}) => {
  const tiny = '--data procedural:32,16 --stem imagenet --width 2 --batch 32 --epochs 1 --lr 1e38'
  const first = await kindred('train', 'simclr', ...tiny.split(' '), '--out', run)
  assert.is(first.code, 1)
  const error = first.err.split('\n').find((line) => line.startsWith('kindred: ')) ?? ''
  const path = join(run, 'checkpoints/step-00000000.safetensors')
  const [, names = '', command = ''] =
    error.match(
      /^kindred: the weights are no longer finite after step 1 \((.*) and \d+ more\) and were not saved; (.*)$/,
    ) ?? []
  assert.is(names, 'conv1.weight', error)
  assert.is(
    command,
    `the weights of step 0 are finite, in ${path}; go on from there at a lower rate: npx kindred train simclr --resume '${run}' --lr 1e+37`,
  )
  assert.equal(readdirSync(join(run, 'checkpoints')), ['step-00000000.safetensors'])
  assert.ok(existsSync(join(run, 'report.html')))
  assert.not.match(metricsOf(run), /"knn"/)

  const second = await kindred('train', 'simclr', '--resume', run, '--lr', '1e-3', '--epochs', '2')
  assert.is(second.code, 0, second.err)
  const changes = { epochs: { from: 1, to: 2 }, 'schedule.lr': { from: 1e38, to: 1e-3 } }
  assert.match(
    second.out,
    /changed since the checkpoint of step 0: epochs 1 -> 2, schedule\.lr 1e\+38 -> 0\.001/,
  )
  const metrics = metricsOf(run).trim().split('\n')
  assert.equal(JSON.parse(metrics[1] ?? ''), { step: 0, changed: changes })
  assert.match(metrics.at(-1) ?? '', /^{"step":2,"epoch":2,"knn":/)
  assert.equal([config(run)['history'], config(run)['epochs']], [[{ step: 0, changes }], 2])
})

test('an edit of config.json that changes no step is told; any other is refused', async ({
  run,
}) => {
  const { metadata } = decodeSafetensors(
    readFileSync(join(run, 'checkpoints/step-00000002.safetensors')),
  )
  assert.match(metadata['config.sha256'] ?? '', /^[0-9a-f]{64}$/)
  const path = join(run, 'config.json')
  const before = config(run)
  const resume = () => kindred('train', 'simclr', '--resume', run)
  writeFileSync(path, JSON.stringify({ ...before, checkpointEvery: 7 }))
  const { code, out, err } = await resume()
  assert.is(code, 0, err)
  assert.match(out, /changed since the checkpoint of step 2: checkpointEvery 0 -> 7/)
  assert.match(metricsOf(run), /\n{"step":2,"changed":{"checkpointEvery":{"from":0,"to":7}}}\n$/)
  writeFileSync(path, JSON.stringify({ ...before, temperature: 0.25, batch: 16, subset: 20 }))
  const refused = await resume()
  assert.is(refused.code, 1)
  assert.is(
    refused.err.split('\n').at(-2),
    `kindred: ${run}: config.json has other settings than the checkpoint of step 2: batch 32 -> 16, subset null -> 20, temperature 0.5 -> 0.25; a run that has begun keeps them, but for --data, --lr and --epochs; put back batch 32, subset null, temperature 0.5, or start a new run`,
  )
  writeFileSync(path, JSON.stringify({ ...before, epochs: 0, widht: 1 }))
  const wrong = await resume()
  assert.is(wrong.code, 1)
  assert.is(
    wrong.err,
    `kindred: ${path}: 2 fields are wrong; mend the file\n  epochs: must be a whole number from 1 on, got 0\n  widht: is not known; known are ${Object.keys(known).join(', ')}\n`,
  )
  writeFileSync(path, JSON.stringify(before))
})

test('a finished run says so, and no change that no step has used is kept', async ({ run }) => {
  const before = config(run)
  const { code, out, err } = await kindred('train', 'simclr', '--resume', run, '--lr', '0.5')
  assert.is(code, 0, err)
  assert.match(
    out,
    /a run: the run is finished already, at step 2 of 2; a larger --epochs lengthens it, as in: npx kindred train simclr --resume '.*' --epochs 4\n/,
  )
  assert.match(out, /\nmeasuring the trained encoder for report\.html\ndone: 2 steps/)
  assert.not.match(out, /changed since/)
  assert.equal(config(run), before)
  assert.not.match(metricsOf(run), /"step":2,"changed"/)
})

const known = {
  ...{
    method: 0,
    preset: 0,
    data: 0,
    dataFromRun: 0,
    size: 0,
    subset: 0,
    seed: 0,
    precision: 0,
    activations: 0,
  },
  ...{
    checkpointEvery: 0,
    about: 0,
    history: 0,
    knn: 0,
    model: 0,
    views: 0,
    temperature: 0,
    optimizer: 0,
  },
  ...{ schedule: 0, batch: 0, chunk: 0, epochs: 0, head: 0, batchNorm: 0, loss: 0 },
}

test.run()
