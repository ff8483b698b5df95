// Tests whole trainings through the command line, as a user types it.

import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { killedAfter, kindred, metricsOf, stoppedAfter } from '../fixtures/cli.ts'

const test = suite<{ dir: string }>('kindred train')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-train-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

const tiny =
  '--data procedural:64,32 --stem imagenet --width 2 --batch 16 --epochs 3 --knn-every 2 --checkpoint-every 3'.split(
    ' ',
  )

test('trains, measures before and after, and leaves a run folder', async ({ dir }) => {
  const run = join(dir, 'a')
  const { code, out, err } = await kindred('train', 'simclr', ...tiny, '--out', run)
  assert.is(code, 0, err)
  assert.not.match(out, /was not replayed/)
  assert.match(
    out,
    /raw pixels +\d+\.\d%[^]*untrained encoder +\d+\.\d%[^]*trained encoder +\d+\.\d%[^]*run folder: /,
  )
  const lines = metricsOf(run)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>)
  const losses = lines.filter((line) => 'loss' in line)
  assert.equal(
    losses.map((line) => line['step']),
    Array.from({ length: 12 }, (_, i) => i + 1),
  )
  assert.equal(
    lines.filter((line) => 'knn' in line).map((line) => line['epoch']),
    [2, 3],
  )
  assert.equal(lines[0]?.['step'], 0)
  for (const name of ['config.json', 'report.html', 'checkpoints/step-00000012.safetensors'])
    assert.ok(existsSync(join(run, name)), name)
  const { tensors } = decodeSafetensors(
    readFileSync(join(run, 'checkpoints/step-00000012.safetensors')),
  )
  assert.equal(tensors.get('conv1.weight')?.shape, [2, 3, 7, 7]) // torchvision's layout
  assert.ok(
    tensors.has('layer4.1.bn2.running_var') && tensors.has('layer4.1.bn2.num_batches_tracked'),
  )
})

test('the same seed gives the same bits, another seed others', async ({ dir }) => {
  const [again, other] = [join(dir, 'again'), join(dir, 'other')]
  await kindred('train', 'simclr', ...tiny, '--out', again)
  await kindred('train', 'simclr', ...tiny, '--seed', '1', '--out', other)
  assert.is(metricsOf(again), metricsOf(join(dir, 'a')))
  assert.is.not(metricsOf(other), metricsOf(join(dir, 'a')))
})

test('replayed steps, the default, give the bits of steps run one by one', async ({ dir }) => {
  const run = join(dir, 'one-by-one')
  const { code, out, err } = await kindred('train', 'simclr', ...tiny, '--no-capture', '--out', run)
  assert.is(code, 0, err)
  assert.is(metricsOf(run), metricsOf(join(dir, 'a')))
  const last = 'checkpoints/step-00000012.safetensors'
  assert.ok(readFileSync(join(run, last)).equals(readFileSync(join(dir, 'a', last))))
  assert.not.match(out, /was not replayed/)
})

test('images that are streamed, not kept on the GPU, give the same bits', async ({ dir }) => {
  const run = join(dir, 'streamed')
  const { code, out, err } = await kindred(
    'train',
    'simclr',
    ...tiny,
    '--resident',
    'off',
    '--out',
    run,
  )
  assert.is(code, 0, err)
  assert.not.match(out, /was not replayed/)
  assert.is(metricsOf(run), metricsOf(join(dir, 'a')))
  const last = 'checkpoints/step-00000012.safetensors'
  assert.ok(readFileSync(join(run, last)).equals(readFileSync(join(dir, 'a', last))))
})

test('killed at any moment, --resume goes on bit for bit', async ({ dir }) => {
  const run = join(dir, 'killed')
  await killedAfter(/"step":5,/, 'train', 'simclr', ...tiny, '--json', '--out', run)
  const streamed = ['--resident', 'off'] // either way, the same bits
  await killedAfter(/"step":8,/, 'train', 'simclr', '--json', '--resume', run, ...streamed)
  const { code, err } = await kindred('train', 'simclr', '--resume', run, '--no-capture') // here too
  assert.is(code, 0, err)
  assert.is(metricsOf(run), metricsOf(join(dir, 'a')))
  const last = 'checkpoints/step-00000012.safetensors'
  assert.ok(
    readFileSync(join(run, last)).equals(readFileSync(join(dir, 'a', last))),
    'the last checkpoint differs',
  )
})

test('in f16, stopped and resumed, a run ends the same, and on a CPU as in f32', async ({
  dir,
}) => {
  const run = join(dir, 'f16')
  const begun = ['train', 'simclr', ...tiny, '--precision', 'f16', '--json', '--out', run]
  const { out } = await killedAfter(/"step":4,/, ...begun)
  assert.match(out, /precision f16: computes in f32, which a CPU does best; the loss is scaled/)
  const refused = await kindred('train', 'simclr', '--resume', run, '--precision', 'f32')
  assert.is(refused.code, 2)
  assert.match(
    refused.err,
    /--resume goes on with the run's own settings, but for --data, --lr and --epochs; leave out --precision/,
  )
  const { code, err } = await kindred('train', 'simclr', '--resume', run)
  assert.is(code, 0, err)
  const config = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >
  assert.is(config['precision'], 'f16')
  // A CPU computes in f32 whatever the precision, and a scale of 2^16 changes no digit of these
  // gradients.
  assert.is(metricsOf(run), metricsOf(join(dir, 'a')))
  const last = 'checkpoints/step-00000012.safetensors'
  const { tensors } = decodeSafetensors(readFileSync(join(run, last)))
  for (const [name, { data }] of decodeSafetensors(readFileSync(join(dir, 'a', last))).tensors)
    assert.equal(tensors.get(name)?.data, data, name)
  assert.equal([...(tensors.get('scaler.scale')?.data ?? [])], [65536])
  assert.equal([...(tensors.get('scaler.good')?.data ?? [])], [12]) // counted on across the stop
})

test('activations f16: another training that begins with nearly the same loss, and goes on with what it began', async ({
  dir,
}) => {
  const run = join(dir, 'activations')
  const { code, out, err } = await kindred(
    'train',
    'simclr',
    ...tiny,
    '--activations',
    'f16',
    '--out',
    run,
  )
  assert.is(code, 0, err)
  assert.match(out, /activations f16: images and their gradients are stored so/)
  const [mine, other] = [metricsOf(run), metricsOf(join(dir, 'a'))].map((metrics) =>
    [...metrics.matchAll(/"loss":([^,}]+)/g)].map(([, loss]) => loss),
  )
  const [first, exact] = [Number(mine?.[0]), Number(other?.[0])]
  assert.ok(Math.abs(first - exact) <= 1e-2 * exact, `${first}, ${exact} in f32`)
  assert.is.not(mine?.at(-1), other?.at(-1))
  const refused = await kindred('train', 'simclr', '--resume', run, '--activations', 'f32')
  assert.match(refused.err, /leave out --activations/)
})

test('Ctrl-C saves and says how to go on; going on ends the same', async ({ dir }) => {
  const run = join(dir, 'stopped')
  const begun = ['train', 'simclr', ...tiny, '--json', '--out', run]
  const { code, out } = await stoppedAfter(/"step":4,/, ...begun)
  assert.is(code, 130)
  assert.match(
    out,
    /stopped and saved at step \d+ of 12; go on with: npx kindred train simclr --resume /,
  )
  assert.is((await kindred('train', 'simclr', '--resume', run)).code, 0)
  assert.is(metricsOf(run), metricsOf(join(dir, 'a')))
  const done = await kindred('train', 'simclr', '--resume', run)
  assert.is(done.code, 0)
  assert.match(done.out, /trained encoder +\d/)
})

test('a batch in chunks, stopped in between, --resume goes on bit for bit', async ({ dir }) => {
  const [run, stopped] = [join(dir, 'chunks'), join(dir, 'chunks-stopped')]
  const chunked = [...tiny, '--epochs', '2', '--chunk', '6'] // 5, 5 and 6 images
  const { code, out, err } = await kindred('train', 'simclr', ...chunked, '--out', run)
  assert.is(code, 0, err)
  assert.match(out, /batch 16 in chunks of 6, /)
  assert.not.match(out, /was not replayed/)
  await killedAfter(/"step":5,/, 'train', 'simclr', ...chunked, '--json', '--out', stopped)
  assert.is((await kindred('train', 'simclr', '--resume', stopped)).code, 0)
  assert.is(metricsOf(stopped), metricsOf(run))
  assert.is.not(metricsOf(run), metricsOf(join(dir, 'a')))
  const last = 'checkpoints/step-00000008.safetensors'
  assert.ok(readFileSync(join(stopped, last)).equals(readFileSync(join(run, last))))
  const counts = decodeSafetensors(readFileSync(join(run, last))).tensors.get(
    'bn1.num_batches_tracked',
  )
  assert.is(Number(counts?.data[0]), 8 * 3 * 2) // steps, chunks and views: the second pass counts nothing
})

test('eval knn measures the run again, with its own k and temperature', async ({ dir }) => {
  const { code, out, err } = await kindred(
    'eval',
    'knn',
    join(dir, 'a'),
    '--json',
    '--k',
    '3',
    '--temperature',
    '0.07',
  )
  assert.is(code, 0, err)
  const result = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, number>
  assert.is(result['k'], 3)
  assert.is(result['temperature'], 0.07)
  assert.is(result['step'], 12)
  assert.ok((result['trained'] ?? -1) >= 0 && (result['trained'] ?? 101) <= 100)
})

test('eval knn gives a run on a subset the number that its training ended with', async ({
  dir,
}) => {
  const run = join(dir, 'subset')
  await kindred('train', 'simclr', ...tiny, '--subset', '40', '--out', run)
  const { out, err } = await kindred('eval', 'knn', run, '--json')
  const result = JSON.parse(out) as Record<string, number>
  assert.is(result['bank'], 40, err)
  const last = metricsOf(run).trim().split('\n').at(-1) ?? ''
  assert.is(result['trained'], (JSON.parse(last) as Record<string, number>)['knn'])
  const named = await kindred('eval', 'knn', run, '--data', 'procedural:64,32', '--json')
  assert.is(named.out, out) // the same images by another name are the run's, its subset too
})

test('measures a linear probe while training, as eval linear does, unless it is off', async ({
  dir,
}) => {
  const lineOf = (run: string) =>
    JSON.parse(metricsOf(run).trim().split('\n').at(-1) ?? '') as Record<string, number>
  const { out } = await kindred('eval', 'linear', join(dir, 'a'), '--json')
  const result = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, number>
  const { probe, knn } = lineOf(join(dir, 'a'))
  assert.equal([probe, knn], [result['accuracy'], result['knn']])
  const report = readFileSync(join(dir, 'a', 'report.html'), 'utf8')
  assert.match(report, /Linear probe accuracy, %/)
  assert.ok(
    'untrainedProbe' in (JSON.parse(metricsOf(join(dir, 'a')).split('\n')[0] ?? '') as object),
  )

  const off = join(dir, 'off')
  const { code, out: said } = await kindred(
    'train',
    'simclr',
    ...tiny,
    '--probe',
    'off',
    '--out',
    off,
  )
  assert.is(code, 0)
  assert.not.match(said, /linear probe/)
  const { probe: none, ...others } = lineOf(off)
  assert.is(none, undefined)
  const { probe: _, ...same } = lineOf(join(dir, 'a'))
  assert.equal(others, same, 'the probe changes nothing else')
})

test('goes on with a run of before the probe as it began', async ({ dir }) => {
  const old = join(dir, 'off')
  const path = join(old, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8')) as { knn: object }
  const { probe: _, ...knn } = { probe: false, ...config.knn }
  writeFileSync(path, JSON.stringify({ ...config, knn }))
  const { code, out, err } = await kindred('train', 'simclr', '--resume', old, '--epochs', '4')
  assert.is(code, 0, err)
  assert.not.match(out, /linear probe/)
})

const refusals: [string, string[], number, RegExp][] = [
  [
    'an unknown data source',
    ['--data', 'cifar9:x'],
    2,
    /^kindred: --data: must be one of .*got 'cifar9:x'; did you mean cifar10:x\?$/,
  ],
  ['a missing folder', ['--data', 'folder:/nowhere/at/all'], 1, /^kindred: .*\/nowhere\/at\/all/],
  [
    'an unknown model',
    ['--model', 'resnet19'],
    2,
    /^kindred: --model: must be one of resnet8, resnet18, resnet34, resnet50, vit-tiny, vit-small, convnext-tiny, got resnet19/,
  ],
  [
    'an unknown precision',
    ['--precision', 'bf16'],
    2,
    /^kindred: --precision: must be one of f32, f16x3, f16, got bf16/,
  ],
  [
    'unknown activations',
    ['--activations', 'f8'],
    2,
    /--activations: must be one of f32, f16, got f8/,
  ],
  [
    'an unknown option',
    ['--bacth', '64'],
    2,
    /^kindred: --bacth: is not known; did you mean --batch\?/,
  ],
  [
    'images larger than any memory',
    ['--size', '100000'],
    2,
    /^kindred: --size: must be a whole number from 1 to 8192, got 100000/,
  ],
  [
    'an encoder wider than any memory',
    ['--width', '100000'],
    2,
    /--width: must be a whole number from 1 to 2048, got 100000/,
  ],
  ['a folder without a name', ['--out', ''], 2, /^kindred: --out: must name a folder, got ''/],
  [
    'a number that is none',
    ['--epochs', 'ten'],
    2,
    /^kindred: --epochs: must be a whole number from 1 on, got ten/,
  ],
  [
    'a kind of data that does not exist',
    ['--data', 'photos'],
    2,
    /^kindred: --data: must be one of cifar10:PATH, .* or procedural:TRAIN,TEST, got 'photos'/,
  ],
  [
    'a batch larger than the data',
    ['--data', 'procedural:30,10', '--batch', '64'],
    1,
    /^kindred: procedural: batch 64 is larger than the 30 images; lower the batch to 30 or less/,
  ],
  [
    'a folder that cannot be written',
    ['--data', 'procedural:64,32', '--batch', '16', '--width', '2', '--out', '/dev/null/x'],
    1,
    /^kindred: .*\/dev\/null\/x/,
  ],
  [
    'a run that exists',
    ['--data', 'procedural:64,32', '--batch', '16', '--out', 'A'],
    1,
    /^kindred: .* already holds a run; choose another --out, or go on with: npx kindred train simclr --resume /,
  ],
  [
    'settings on a resumed run',
    ['--resume', 'A', '--batch', '7'],
    2,
    /^kindred: --resume goes on with the run's own settings, but for --data, --lr and --epochs; leave out --batch/,
  ],
  [
    'a chunk of one image',
    ['--batch', '16', '--chunk', '1'],
    2,
    /^kindred: --chunk: batch norm per view needs 2 images or more at a time, got 1 of a batch of 16 in chunks of 1/,
  ],
  [
    'another chunk on a resumed run',
    ['--resume', 'A', '--chunk', '4'],
    2,
    /^kindred: --resume goes on with the run's own settings, but for --data, --lr and --epochs; leave out --chunk/,
  ],
  [
    'an adapter that there is not',
    ['--data', 'procedural:64,32', '--batch', '16', '--width', '2', '--adapter', 'nosuch'],
    1,
    /^kindred: no WebGPU adapter's name contains 'nosuch'; leave the name out to see what there is/,
  ],
  [
    'another folder for a resumed run',
    ['--resume', 'A', '--out', '/tmp/elsewhere'],
    2,
    /^kindred: --out: must be the folder of --resume, where the run goes on, or left out, got \/tmp\/elsewhere beside /,
  ],
  ['a folder that is no run', ['--resume', '/'], 1, /^kindred: \/ is not a run folder/],
]
for (const [what, args, code, words] of refusals) {
  test(`${what} is one clear line and exit code ${code}`, async ({ dir }) => {
    const result = await kindred(
      'train',
      'simclr',
      ...args.map((arg) => (arg === 'A' ? join(dir, 'a') : arg)),
    )
    const told = result.err
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('Warning: max'))
      .join('\n')
    assert.is(result.code, code, told)
    assert.match(told, words)
    assert.is(told.split('\n').length, 1, told)
  })
}

test('a damaged newest checkpoint is named, and the one before it is used', async ({ dir }) => {
  const run = join(dir, 'a')
  const checkpoints = readdirSync(join(run, 'checkpoints'))
    .filter((name) => name.startsWith('step'))
    .sort()
  const newest = join(run, 'checkpoints', checkpoints.at(-1) ?? '')
  const good = readFileSync(newest)
  writeFileSync(newest, good.subarray(0, good.length / 2))
  const before = metricsOf(run)
  const { code, out, err } = await kindred('train', 'simclr', '--resume', run)
  assert.is(code, 0, err)
  assert.match(out, /step-00000012\.safetensors/)
  assert.is(metricsOf(run), before)
  assert.ok(readFileSync(newest).equals(good))
})

test.run()
