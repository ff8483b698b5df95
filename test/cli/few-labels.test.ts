// Tests kindred eval finetune and few-labels through the command line.

import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { labelSplit } from '../../data/label-split.ts'
import { procedural } from '../../data/procedural.ts'
import { fewLabelPage } from '../../cli/few-label-page.ts'
import { spreads, tableLines } from '../../cli/few-label-table.ts'
import type { CellResult } from '../../cli/few-label-cells.ts'
import { stoppedAfter } from '../fixtures/cli.ts'
import { picture } from '../fixtures/images.ts'
import { kindred } from '../fixtures/kindred.ts'

const test = suite<{ dir: string; run: string }>('kindred eval few-labels')

test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-few-'))
  context.run = join(context.dir, 'run')
  const flags =
    'train simclr --data procedural:60,40 --stem imagenet --width 2 --batch 30 --epochs 1 --model resnet8'
  const { code, err } = kindred(...flags.split(' '), '--out', context.run)
  assert.is(code, 0, err)
})
test.after(({ dir }) => rmSync(dir, { recursive: true, force: true }))

const tiny = '--labels 50% --seeds 2 --steps 3 --batch 8 --lr 0.001'.split(' ')

interface Row {
  readonly arm: string
  readonly labels: string
  readonly images: number
  readonly accuracies: readonly number[]
  readonly rates: readonly number[]
}

const lastOf = (out: string) =>
  JSON.parse(out.trim().split('\n').at(-1) ?? '') as { rows: Row[]; text: string }

test('prints the table, keeps every cell with its labels, and goes on with what is missing', ({
  run,
}) => {
  const first = kindred('eval', 'few-labels', run, ...tiny, '--json')
  assert.is(first.code, 0, first.err)
  const { rows, text } = lastOf(first.out)
  assert.equal(
    rows.map(({ arm, labels, images }) => `${arm} ${labels} ${images}`),
    ['from scratch', 'linear probe', 'fine-tuned'].map((arm) => `${arm} 50% 30`),
  )
  assert.equal(
    rows.map(({ rates }) => rates),
    [[0.001, 0.001], [], [0.001, 0.001]],
  )
  assert.match(text, /^accuracy, % of 40 test images, 2 seeds, mean ± std\nlabels {11}from scratch/)
  const folder = join(run, 'few-labels')
  const cells = readdirSync(folder).filter((name) => name.endsWith('.json'))
  assert.is(cells.length, 6)
  const path = join(folder, 'fine-tuned-50pc-seed1.json')
  const kept = JSON.parse(readFileSync(path, 'utf8')) as CellResult
  const labels = procedural({ train: 60, test: 40 }).train.labels ?? []
  assert.equal(kept.indices, [...labelSplit(labels, { fraction: 0.5, seed: 1 }).chosen])
  assert.is(kept.accuracy, rows.at(-1)?.accuracies[1])

  const other = join(folder, 'from-scratch-50pc-seed0.json')
  const written = statSync(other).mtimeMs
  rmSync(path)
  const again = kindred('eval', 'few-labels', run, ...tiny, '--json')
  assert.is(again.code, 0, again.err)
  assert.equal(lastOf(again.out).rows, rows, 'the same bits')
  assert.is(again.out.split('kept from before').length - 1, 5)
  assert.is(statSync(other).mtimeMs, written)
  const html = readFileSync(join(folder, 'few-labels.html'), 'utf8')
  assert.match(html, /"label":"fine-tuned","y":\[[\d.]+\],"colour":"strong","band":\{"low":/)
  assert.not.match(html, /(src|href)="(?!#)/)

  const one = kindred(
    'eval',
    'finetune',
    run,
    '--labels',
    '50%',
    '--seed',
    '1',
    '--steps',
    '3',
    '--batch',
    '8',
    '--lr',
    '0.001',
    '--json',
  )
  const said = JSON.parse(one.out.trim().split('\n').at(-1) ?? '') as CellResult & { text: string }
  assert.match(
    said.text,
    /^fine-tuned on 50% of the labels \(30\), seed 1: [\d.]+% of 40 test images, at learning rate 0.001\n/,
  )
  assert.is(one.out.split(said.text.slice(0, said.text.indexOf(':'))).length - 1, 1, 'told once')
  assert.is(said.accuracy, kept.accuracy, 'the bits of the table, trained again for the network')
  assert.ok(existsSync(path.replace('.json', '.safetensors')))
  const twice = kindred(
    'eval',
    'finetune',
    run,
    ...'--labels 50% --seed 1'.split(' '),
    ...tiny.slice(4),
  )
  assert.ok(twice.out.includes('kept from before'), twice.out)
  assert.not.match(twice.out, /trained again/)
})

test('Ctrl-C says what is kept and what begins anew, and the same command what it took', async ({
  dir,
  run,
}) => {
  const out = join(dir, 'stopped')
  const args = ['eval', 'few-labels', run, ...tiny, '--out', out]
  const stopped = await stoppedAfter(/linear probe on 50% .* seed 0: [\d.]+%/, ...args)
  assert.is(stopped.code, 130, stopped.err)
  const goOn = `npx kindred ${args.join(' ')}`
  assert.is(
    stopped.out.trim().split('\n').at(-1),
    'stopped: fine-tuned on 50% of the labels (30), seed 0, begins anew; ' +
      `2 of 6 trainings are kept in ${out}; go on with: ${goOn}`,
  )
  assert.equal(readdirSync(out).sort(), [
    'from-scratch-50pc-seed0.json',
    'linear-probe-50pc-seed0.json',
  ])
  const again = kindred(...args)
  assert.is(again.code, 0, again.err)
  const lines = again.out.split('\n').filter((line) => line.includes('kept'))
  assert.equal(
    lines.map((line) => line.replace(/: [\d.]+%,/, ',')),
    [
      'from scratch on 50% of the labels (30), seed 0, kept from before',
      'linear probe on 50% of the labels (30), seed 0, kept from before',
      `2 of 6 trainings are kept in ${out}; the others are trained now`,
    ],
  )
  const whole = kindred('eval', 'few-labels', run, ...tiny, '--json')
  assert.equal(lastOf(kindred(...args, '--json').out).rows, lastOf(whole.out).rows, 'the same bits')
})

test('never mixes results of other settings, and says what to do', ({ run }) => {
  const folder = join(run, 'few-labels')
  const path = join(folder, 'from-scratch-50pc-seed0.json')
  const { code, err } = kindred('eval', 'few-labels', run, ...tiny, '--lr', '0.5')
  assert.is(code, 2)
  assert.is(
    err,
    `kindred: ${path}: its lr must be 0.5, as now, got 0.001; give the settings of before, or another folder with --out`,
  )
  const kept = readFileSync(path, 'utf8')
  writeFileSync(path, kept.replace('mild crop and flip', 'crop and flip'))
  const earlier = kindred('eval', 'few-labels', run, ...tiny)
  assert.is(earlier.code, 2)
  assert.is(
    earlier.err,
    `kindred: ${folder}: its results were made by an earlier version, which trained on other views; choose another --out`,
  )
  writeFileSync(path, '{"accuracy": 1')
  const broken = kindred('eval', 'few-labels', run, ...tiny)
  assert.is(broken.code, 1)
  assert.is(broken.err, `kindred: ${path}: it is no result of few labels; delete it to train anew`)
})

test('begins with the weights of a file, or with new ones', ({ dir, run }) => {
  const file = join(run, 'checkpoints', readdirSync(join(run, 'checkpoints')).sort().at(-1) ?? '')
  const flags = ['--labels', '3', '--steps', '2', '--lr', '0.001', '--json', '--out']
  const of = (out: string, ...more: string[]) => {
    const done = kindred('eval', 'finetune', run, ...flags, join(dir, out), ...more)
    assert.is(done.code, 0, done.err)
    const said = JSON.parse(done.out.trim().split('\n').at(-1) ?? '') as CellResult
    return [said.accuracy, said.arm] as const
  }
  assert.equal(of('a', '--init', file), of('b'), 'the same weights')
  assert.is(of('c', '--scratch')[1], 'from scratch')
  const both = kindred('eval', 'finetune', run, '--scratch', '--init', file)
  assert.is(both.code, 2)
  assert.is(both.err, 'kindred: --scratch begins with new weights; leave out --init or --scratch')
})

test('chooses the learning rate on held-out labels; 0 keeps the linear probe', ({ dir, run }) => {
  const flags = '--labels 5 --steps 2 --batch 8 --lr 0.5,0.0001 --json --out'.split(' ')
  for (const more of [[], ['--scratch']]) {
    const done = kindred('eval', 'finetune', run, ...flags, join(dir, 'rates'), ...more)
    assert.is(done.code, 0, done.err)
    const lines = done.out.trim().split('\n')
    const last = JSON.parse(lines.at(-1) ?? '') as CellResult & { text: string }
    const { lr, heldOut, settings, text } = last
    const start = more.length === 0 ? 'fine-tuned' : 'from scratch'
    assert.ok(text.startsWith(`${start} on 5 labels of each class (50), seed 0: `), text)
    const untrained = lr === 0 ? ': the linear probe, not trained further' : ''
    assert.ok(text.includes(`, at learning rate ${lr}${untrained}\n`), text)
    const trainings = [...done.out.matchAll(/"(learning rate [^"]*, training \d+ of 11)"/g)]
    const expected = [0.0001, 0.5].flatMap((rate, i) =>
      [1, 2, 3, 4, 5].map(
        (part) =>
          `learning rate ${rate}, held-out part ${part} of 5, training ${5 * i + part} of 11`,
      ),
    )
    if (lr !== 0) expected.push(`learning rate ${lr}, all labels, training 11 of 11`)
    assert.equal(
      trainings.map(([, said]) => said),
      expected,
    )
    // five ways to hold out a fifth of 50 labels
    const tried = [
      ...done.out.matchAll(/learning rate ([\d.]+)[^:"]*: ([\d.]+)% of 50 labels held out/g),
    ].map(([, rate, percent]) => ({ rate: Number(rate), percent: Number(percent) }))
    assert.equal(
      tried.map(({ rate }) => rate),
      more.length === 0 ? [0, 0.0001, 0.5] : [0.0001, 0.5],
    )
    assert.is(settings.lr, '0.0001,0.5')
    assert.is(heldOut, Math.max(...tried.map(({ percent }) => percent)))
    const best = tried.filter(({ percent }) => percent === heldOut)
    assert.ok(best.some(({ rate }) => rate === lr))
    if (more.length === 0) assert.is(best[0]?.rate, lr, 'the lowest of equals')
  }
  assert.is(
    readdirSync(join(dir, 'rates')).filter((name) => name.endsWith('.safetensors')).length,
    2,
  )
})

test('takes the middle rate where no label can be held out, and says so', ({ dir, run }) => {
  const flags = '--labels 1 --steps 1 --batch 8 --lr 0.01,0.0001,0.001 --json --out'.split(' ')
  const done = kindred('eval', 'finetune', run, ...flags, join(dir, 'middle'))
  assert.is(done.code, 0, done.err)
  assert.match(
    done.out,
    /"no class has 2 labels, to hold one out: takes the middle learning rate 0.001"/,
  )
  const { lr, text } = JSON.parse(done.out.trim().split('\n').at(-1) ?? '') as CellResult & {
    text: string
  }
  assert.is(lr, 0.001)
  assert.match(
    text,
    /on 1 label of each class \(10\), seed 0: [\d.]+% .*, at learning rate 0.001\n/,
  )
})

test('every line of help has at most 80 columns', () => {
  for (const name of ['finetune', 'few-labels']) {
    const { code, out } = kindred('eval', name, '--help')
    assert.is(code, 0)
    assert.equal(
      out.split('\n').filter((line) => line.length > 80),
      [],
    )
  }
})

test('the saved network is an encoder, and classifies as it was scored', ({ dir, run }) => {
  const out = join(dir, 'network')
  const flags = '--labels 5 --steps 3 --lr 0.01 --json --out'.split(' ')
  const done = kindred('eval', 'finetune', run, ...flags, out)
  assert.is(done.code, 0, done.err)
  const { accuracy, network } = JSON.parse(done.out.trim().split('\n').at(-1) ?? '') as {
    accuracy: number
    network: string
  }
  const set = ['--data', 'procedural:60,40', '--half', 'test']
  const all = kindred('classify', network, ...set, '--top', '10', '--json')
  assert.is(all.code, 0, all.err)
  const { results, classes } = JSON.parse(all.out) as {
    classes: string[]
    results: { class: string; guesses: { class: string; probability: number }[] }[]
  }
  assert.is(classes.length, 10)
  const right = results.filter((one) => one.guesses[0]?.class === one.class).length
  assert.is((100 * right) / 40, accuracy)
  for (const { guesses } of results) {
    const total = guesses.reduce((sum, { probability }) => sum + probability, 0)
    assert.ok(Math.abs(total - 1) < 1e-6)
  }
  const lines = kindred('classify', network, ...set)
    .out.trim()
    .split('\n')
  assert.is(lines.length, 40)
  assert.match(lines[0] ?? '', /^test\/0\t\S+( \S+)*\t0\.\d{3}$/)

  for (const words of [
    ['eval', 'knn', run, '--checkpoint', network],
    ['eval', 'linear', run, '--checkpoint', network],
    ['embed', network, '--data', 'procedural:60,40', '--out', join(dir, 'tuned.npy')],
    ['curate', 'outliers', network, '--data', 'procedural:60,40', '--top', '2'],
    ['export', network, '--to', join(dir, 'tuned.safetensors')],
  ]) {
    const { code, err } = kindred(...words)
    assert.is(code, 0, `${words.join(' ')}: ${err}`)
  }
  const checkpoints = readdirSync(join(run, 'checkpoints')).sort()
  const plain = kindred('classify', join(run, 'checkpoints', checkpoints.at(-1) ?? ''), ...set)
  assert.is(plain.code, 1)
  assert.match(plain.err, /it holds no classifier; give the file that kindred eval finetune saves/)
  const none = kindred('classify', network)
  assert.is(none.code, 2)
  assert.is(
    none.err,
    'kindred: classify: needs images, got none; name image files, or a set with --data',
  )
})

test('trains a network again whose file is damaged, and says so', async ({ dir, run }) => {
  const out = join(dir, 'damaged')
  const flags = '--labels 5 --steps 2 --lr 0.01 --json --out'.split(' ')
  const finetune = () => {
    const done = kindred('eval', 'finetune', run, ...flags, out)
    assert.is(done.code, 0, done.err)
    const { network } = JSON.parse(done.out.trim().split('\n').at(-1) ?? '') as { network: string }
    return { network, said: done.out }
  }
  const { network, said } = finetune()
  assert.match(said, /batch 64 is lowered to its 50 labels/)
  const whole = readFileSync(network)
  const flipped = Buffer.from(whole)
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 0x80
  for (const [bad, why] of [
    [Buffer.from('x'), 'a safetensors file has at least 8 bytes, got 1'],
    [flipped, 'its contents are not what was saved; the file is damaged'],
  ] as const) {
    writeFileSync(network, bad)
    const again = finetune()
    assert.ok(again.said.includes(`${network}: ${why}; it is trained again`), again.said)
    assert.equal(readFileSync(network), whole, 'the same bits')
  }
  assert.ok(finetune().said.includes('kept from before'))

  const [good, bad] = [join(dir, 'good.png'), join(dir, 'bad.png')]
  await picture(good)
  writeFileSync(bad, 'no picture')
  const missing = join(dir, 'missing.png')
  const alone = kindred('classify', network, good)
  const { code, out: printed, err } = kindred('classify', network, bad, good, missing)
  assert.is(code, 0, err)
  assert.is(printed, alone.out)
  assert.match(err, /^2 files left out:$/m)
  assert.equal(
    [...err.matchAll(/^ {2}(\S+\.png) /gm)].map(([, name]) => name),
    [bad, missing],
  )
  const none = kindred('classify', network, bad, missing)
  assert.equal([none.code, none.out], [1, ''])
  assert.ok(none.err.includes(`none of 2 files is an image; the first: ${bad} `), none.err)
  const { results, skippedFiles } = JSON.parse(
    kindred('classify', network, bad, good, '--json').out,
  ) as { results: { path: string }[]; skippedFiles: number }
  assert.equal([results.map(({ path }) => path), skippedFiles], [[good], 1])
})

test('refuses amounts that are none, before anything is written', ({ dir, run }) => {
  const out = join(dir, 'none')
  for (const [amount, message] of [
    ['0%', /--labels: must be a share as in 10%, or whole images of each class as in 20, got 0%/],
    ['2.5', /--labels: must be a share as in 10%/],
    ['7', /--labels: 7 must be at most the images of each class, got 7 and class stripes has 6/],
  ] as const) {
    const { code, err } = kindred('eval', 'few-labels', run, '--labels', amount, '--out', out)
    assert.is(code, 2, err)
    assert.match(err, message)
  }
  assert.match(kindred('eval', 'finetune', run, '--batch', '1').err, /--batch: must be 2 or more/)
  assert.not.ok(existsSync(out))
})

test('computes mean and spread over seeds, in 60 columns', () => {
  const settings = {
    ...{ weights: 'step 2', data: 'procedural', testImages: 40, steps: 3, batch: 8 },
    ...{ lr: '0.001', weightDecay: 1e-4, views: 'mild crop and flip' as const },
  }
  const cell = (arm: CellResult['arm'], seed: number, accuracy: number): CellResult => ({
    ...{ arm, labels: '1%', seed, settings, accuracy, indices: [1, 2] },
  })
  const rows = spreads([
    cell('fine-tuned', 0, 10),
    cell('fine-tuned', 1, 20),
    cell('fine-tuned', 2, 60),
  ])
  assert.is(rows[0]?.mean, 30)
  assert.ok(Math.abs((rows[0]?.std ?? 0) - Math.sqrt(700)) < 1e-12)
  const lines = tableLines(rows, 40)
  assert.is(lines.at(-1), '1% (2)                      -              -    30.0 ± 26.5')
  assert.ok(lines.every((line) => line.length <= 60))
  assert.is(spreads([cell('linear probe', 0, 10)])[0]?.std, null)

  const untrained = spreads([0.001, 0, 0].map((lr, s) => ({ ...cell('fine-tuned', s, 10), lr })))
  assert.equal(untrained[0]?.rates, [0.001, 0, 0])
  const noted = tableLines(untrained, 40)
  assert.is(noted.at(-1), '1%: 2 of 3 fine-tuned stayed the linear probe (rate 0)')
  assert.ok(noted.every((line) => line.length <= 60))
  const html = fewLabelPage(untrained, [])
  assert.match(html, /1% of the labels <small>\(2\)<\/small>/)
  assert.match(html, /2 of 3 fine-tuned stayed the linear probe \(rate 0\)/)
})

test.run()
