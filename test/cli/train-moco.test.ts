// Tests MoCo and the methods that it is compared with through the command line, as a user types it.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { killedAfter, kindred, metricsOf } from '../fixtures/cli.ts'

const test = suite<{ dir: string }>('kindred train moco, memory-bank, end-to-end')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-moco-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

const tiny =
  '--data procedural:64,32 --model resnet8 --stem imagenet --width 2 --batch 16 --epochs 2 --knn-every 2 --checkpoint-every 3'.split(
    ' ',
  )
const last = 'checkpoints/step-00000008.safetensors'

for (const [name, method, options, holds] of [
  [
    'v1',
    'moco',
    ['--preset', 'moco-v1-demo', '--queue', '40', '--bn-splits', '4'],
    ['queue', 'key.head.fc.weight'],
  ],
  [
    'symmetric',
    'moco',
    ['--preset', 'moco-v2-demo', '--queue', '24', '--symmetric'],
    ['queue', 'key.conv1.weight'],
  ],
  [
    'v1-in-chunks',
    'moco',
    ['--preset', 'moco-v1-demo', '--queue', '40', '--bn-splits', '2', '--chunk', '7'], // 4, 6 and 6 images
    ['queue', 'key.head.fc.weight'],
  ],
  [
    'v3',
    'moco',
    ['--preset', 'moco-v3-demo'],
    ['predictor.0.weight', 'key.head.projector.4.running_mean'],
  ],
  [
    'nce',
    'memory-bank',
    ['--preset', 'memory-bank-demo', '--negatives', '20', '--loss', 'nce'],
    ['bank.rows', 'bank.logZ'],
  ],
  ['end-to-end', 'end-to-end', ['--preset', 'end-to-end-demo'], ['key.bn1.running_mean']],
] as const)
  test(`${name}: killed at any moment, --resume goes on bit for bit`, async ({ dir }) => {
    const [whole, killed] = [join(dir, `${name}-whole`), join(dir, `${name}-killed`)]
    const { code, out, err } = await kindred('train', method, ...tiny, ...options, '--out', whole)
    assert.is(code, 0, err)
    assert.not.match(out, /was not replayed/)
    const filling = { v1: 3, symmetric: 1, 'v1-in-chunks': 3, nce: 4, v3: 0, 'end-to-end': 0 }[name]
    assert.is(
      /over the first (\d+) steps?, which is expected/.exec(out)?.[1] ?? '0',
      String(filling),
    )
    assert.is(
      out.includes('batch 16 in chunks of 7, '),
      options.some((option) => option === '--chunk'),
    )
    const { tensors } = decodeSafetensors(readFileSync(join(whole, last)))
    for (const tensor of holds) assert.ok(tensors.has(tensor), tensor)
    await killedAfter(/"step":5,/, 'train', method, ...tiny, ...options, '--json', '--out', killed)
    const resumed = await kindred(
      'train',
      method,
      '--resume',
      killed,
      '--no-capture',
      '--resident',
      'off',
    )
    assert.is(resumed.code, 0, resumed.err)
    assert.is(metricsOf(killed), metricsOf(whole))
    assert.ok(
      readFileSync(join(killed, last)).equals(readFileSync(join(whole, last))),
      'the last checkpoint',
    )
    const measured = await kindred('eval', 'knn', killed, '--json')
    assert.is(measured.code, 0, measured.err)
  })

test('a queue of another size, another seed, and a bank of other images, are refused in words', async ({
  dir,
}) => {
  const refused = async (method: string, from: string, change: (config: string) => string) => {
    const run = join(dir, `changed-${from}`)
    cpSync(join(dir, from), run, { recursive: true })
    writeFileSync(join(run, 'config.json'), change(readFileSync(join(run, 'config.json'), 'utf8')))
    const { code, err } = await kindred('train', method, '--resume', run)
    rmSync(run, { recursive: true })
    assert.is(code, 1)
    return err
  }
  assert.match(
    await refused('moco', 'v1-whole', (config) => config.replace('"queue": 40', '"queue": 48')),
    /other settings than the checkpoint of step \d+: queue 40 -> 48; .*; put back queue 40, or start a new run/,
  )
  const more = (config: string) => config.replace('procedural:64,32', 'procedural:70,32')
  assert.match(
    await refused('memory-bank', 'nce-whole', more),
    /its memory bank is of (64|other) images/,
  )
  const others = (config: string) => config.replace('"seed": 0', '"seed": 1')
  assert.match(
    await refused('memory-bank', 'nce-whole', others),
    /other settings than the checkpoint of step \d+: seed 0 -> 1; .*; put back seed 0, or start a new run/,
  )
  assert.match(
    (await kindred('train', 'moco', '--resume', join(dir, 'nce-whole'))).err,
    /not of a MoCo run, its method is memory-bank; go on with: npx kindred train memory-bank --resume .*nce-whole/,
  )
})

test('flags that cannot be meant so are refused', async ({ dir }) => {
  for (const [args, message] of [
    [['moco', '--preset', 'moco-v3-demo', '--queue', '8'], /--queue: MoCo v3 has no queue/],
    [['moco', '--preset', 'moco-v3-demo', '--no-shuffle'], /--no-shuffle: MoCo v3 has no queue/],
    [
      ['moco', ...tiny, '--bn-splits', '3'],
      /--bn-splits: must divide the batch of 16, got 3; give --bn-splits 2 or another --batch/,
    ],
    [
      ['moco', ...tiny, '--bn-splits', '16'],
      /--bn-splits: must leave batch norm 2 images or more in each group, got 16 groups of a batch of 16; give --bn-splits 8 or/,
    ],
    [
      ['moco', '--preset', 'moco-v3-demo', '--batch', '1'],
      /--batch: must be 2 or more, as images are compared/,
    ],
    [['end-to-end', '--batch', '1'], /--batch: must be 2 or more, as images are compared/],
    [
      ['memory-bank', '--batch', '1'],
      /--batch: must be 2 or more, as batch norm needs 2 images or more, got 1/,
    ],
    [
      ['moco', ...tiny, '--bn-splits', '4', '--chunk', '3'],
      /--chunk: each chunk is split for batch norm, so it must hold 2 images or more for each of the 4 of --bn-splits, got 3 of/,
    ],
    [
      ['moco', ...tiny, '--bn-splits', '4', '--chunk', '7'],
      /4 of --bn-splits, got 4 of a batch of 16 in chunks/,
    ],
    [
      ['moco', ...tiny, '--preset', 'moco-v3-demo', '--chunk', '1'],
      /--chunk: batch norm needs 2 images or more at a time, got 1 of a batch of 16 in chunks of 1/,
    ],
    [['end-to-end', ...tiny, '--chunk', '0'], /--chunk: must be a whole number from 1 on, got 0/],
    [['memory-bank', '--resume', join(dir, 'nce-whole'), '--chunk', '4'], /leave out --chunk/],
    [['moco', '--preset', 'simclr-demo'], /--preset: must be one of moco-v1, moco-v2, /],
    [['moco', '--momentum', '1.5'], /--momentum: must be a number from 0 to 1, got 1.5/],
    [['memory-bank', '--loss', 'triplet'], /--loss: must be one of infonce, nce, got triplet/],
    [['moco', '--resume', join(dir, 'v1-whole'), '--queue', '8'], /leave out --queue/],
    [['moco', '--resume', join(dir, 'v1-whole'), '--no-shuffle'], /leave out --no-shuffle/],
  ] as const) {
    const { code, err } = await kindred('train', ...args)
    assert.is(code, 2, err)
    assert.match(err, message)
  }
})

test('presets of every method are listed with where they come from', async () => {
  const { code, out } = await kindred('presets', '--json')
  assert.is(code, 0)
  const names = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { name: string }).name)
  for (const name of [
    'simclr-cifar10',
    'moco-v1',
    'moco-v2',
    'moco-v3',
    'moco-v2-cifar10',
    'memory-bank-imagenet',
  ])
    assert.ok(names.includes(name), name)
})

test('compares the mechanisms, goes on where it was stopped, and refuses other settings', async ({
  dir,
}) => {
  const out = join(dir, 'compare')
  const args = [
    'compare',
    '--negatives',
    '8,64,8',
    '--subset',
    '64',
    '--batch',
    '16',
    '--width',
    '2',
    '--epochs',
    '1',
    '--out',
    out,
  ]
  await killedAfter(/memory-bank-8/, ...args, '--json')
  const { code, out: said, err } = await kindred(...args)
  assert.is(code, 0, err)
  assert.match(
    said,
    /negatives +end-to-end +memory-bank +moco\n +8( +\d+\.\d%){3}\n +64 +-( +\d+\.\d%){2}\nraw pixels/,
  )
  assert.match(
    readFileSync(join(out, 'compare.html'), 'utf8'),
    /"logarithmic":true,"curves":\[\{"label":"end-to-end"/,
  )
  const other = await kindred(...args, '--seed', '1')
  assert.is(other.code, 2)
  assert.match(other.err, /holds a comparison with other settings/)
})

test('of a set smaller than --subset, half of its images bound what is end-to-end', async ({
  dir,
}) => {
  const small = '--data procedural:40,10 --negatives 24 --batch 16 --width 2 --epochs 1'.split(' ')
  const { code, out, err } = await kindred('compare', ...small, '--out', join(dir, 'small'))
  assert.is(code, 0, err)
  assert.match(out, /\n +24 +-( +\d+\.\d%){2}\nraw pixels/)
  const run = JSON.parse(readFileSync(join(dir, 'small/moco-24/config.json'), 'utf8')) as {
    schedule: { firstEpoch: number }
  }
  assert.is(run.schedule.firstEpoch, 0) // of the preset 1, at which a single epoch learns nothing
})

test('what no comparison can be is refused before its folder is taken', async ({ dir }) => {
  const out = join(dir, 'refused')
  for (const [args, code, message] of [
    [
      ['--batch', '12'],
      2,
      /--batch: must be a multiple of 8 from 16 on, as MoCo's batch norm goes over 8 groups/,
    ],
    [['--batch', '8'], 2, /--batch: must be a multiple of 8 from 16 on/],
    [
      ['--negatives', '1,8'],
      2,
      /--negatives: each must be 2 or more, as end-to-end's batch is .* got 1/,
    ],
    [['--model', 'resnet9'], 2, /--model: must be one of resnet8/],
    [['--data', 'folder:/nowhere/at/all'], 1, /nowhere/],
    [
      ['--data', 'procedural:24,8', '--batch', '16'],
      2,
      /--batch: must be at most half of the 24 images, got 16/,
    ],
    [['--out', ''], 2, /^kindred: --out: must name a folder, got ''/],
  ] as const) {
    const { code: got, err } = await kindred('compare', '--out', out, '--width', '2', ...args)
    assert.is(got, code, err)
    assert.match(err, message)
    assert.not(existsSync(out))
  }
})

test.run()
