// Tests that what commander refuses is refused in kindred's form: name, rule, value, remedy.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { programOf } from '../../cli/program.ts'
import { UsageError } from '../../training/choice.ts'
import { kindred } from '../fixtures/cli.ts'

const test = suite('complaints about the command line')

function refusalOf(...words: readonly string[]): string {
  try {
    programOf(() => {}).parse(['node', 'kindred', ...words])
  } catch (error) {
    assert.instance(error, UsageError)
    return (error as Error).message
  }
  return 'not refused'
}

test('an option says its name, its rule and the value', () => {
  const train = (...words: string[]) => refusalOf('train', 'simclr', ...words)
  assert.is(train('--epochs', '0'), '--epochs: must be a whole number from 1 on, got 0')
  assert.is(
    train('--epochs', "it's 'x'"),
    "--epochs: must be a whole number from 1 on, got it's 'x'",
  )
  assert.is(train('--out', ''), "--out: must name a folder, got ''")
  assert.is(train('--resident', 'no'), '--resident: must be one of auto, on, off, got no')
  assert.is(train('--lr'), '--lr: must have a value, as in --lr <rate>, got none')
  assert.is(
    train('--temperature', '0'),
    '--temperature: must be a number from 1.2e-38 to 3.4e38, got 0',
  )
  assert.is(
    train('--config', 'a.json', '--config', 'b.json'),
    '--config: must be given only once, is a.json already, got b.json',
  )
  assert.is(
    refusalOf('compare', '--negatives', '32,x'),
    '--negatives: must be whole numbers from 1 on, separated by commas, got 32,x',
  )
})

test('an unknown option says the nearest one, or where all are listed', () => {
  assert.is(
    refusalOf('train', 'simclr', '--bacth', '64'),
    '--bacth: is not known; did you mean --batch?',
  )
  assert.is(
    refusalOf('train', 'simclr', '--colour', 'red'),
    '--colour: is not known; npx kindred train simclr --help lists the options',
  )
})

test('an option that must be given is named, beside one that is not known', () => {
  const needed = '--to: must be given, as in --to <file>, got none'
  assert.is(refusalOf('export', 'runs/photos'), needed)
  assert.is(refusalOf('export', 'runs/photos', '--out', 'x.onnx'), `${needed}; --out is not known`)
  assert.is(refusalOf('export', 'runs/photos', '--unit'), needed)
})

test('a missing or misspelt command says what to type', () => {
  const methods = 'one of simclr, moco, memory-bank, end-to-end, amdim'
  assert.is(
    refusalOf('train'),
    `train: must be followed by ${methods}, got none; type for example: npx kindred train simclr`,
  )
  assert.is(
    refusalOf('train', 'simclt'),
    `train: must be followed by ${methods}, got simclt; type for example: npx kindred train simclr`,
  )
  assert.is(
    refusalOf('eval', 'xyz'),
    'eval: must be followed by one of knn, linear, mlp, finetune, few-labels, got xyz; type npx kindred eval --help for help',
  )
  assert.is(
    refusalOf('trian'),
    'command: must be one of train, compare, presets, eval, embed, search, classify, curate, export, import, report, summary, profile, demo, doctor, got trian; type for example: npx kindred train',
  )
})

test('a command by another word, or without its first, says what to type, under --help too', () => {
  const remedies = {
    nearest: 'type for example: npx kindred search',
    neighbours: 'type for example: npx kindred search',
    duplicates: 'type for example: npx kindred curate duplicates',
    select: 'type for example: npx kindred curate select',
    knn: 'type for example: npx kindred eval knn',
    linear: 'type for example: npx kindred eval linear',
    probe: 'type for example: npx kindred eval linear',
    moco: 'type for example: npx kindred train moco',
    serve: 'a server is a program of yours, see docs/serving.md',
    constructor: 'type npx kindred --help for help',
  }
  for (const [word, remedy] of Object.entries(remedies)) {
    const refusal = refusalOf(word)
    assert.ok(refusal.startsWith('command: must be one of train, '), refusal)
    assert.ok(refusal.endsWith(`, got ${word}; ${remedy}`), refusal)
    for (const words of [
      [word, '--help'],
      ['--help', word],
      ['help', word],
    ])
      assert.is(refusalOf(...words), refusal)
  }
  assert.match(refusalOf('eval', 'outliers', '-h'), /got outliers; .*npx kindred curate outliers$/)
})

test('the help of a command that is known is printed', async () => {
  for (const words of [
    ['eval', '--help'],
    ['help', 'eval'],
    ['eval', 'knn', '--help'],
    ['compare', 'runs/photos', '--help'],
  ]) {
    const { code, out, err } = await kindred(...words)
    assert.is(code, 0, err)
    assert.match(out, /^Usage: kindred (eval|compare) /)
  }
})

test('an argument too few or too many says so', () => {
  assert.is(
    refusalOf('eval', 'knn'),
    'eval knn: must be followed by <run>, got none; type: npx kindred eval knn <run>',
  )
  assert.is(
    refusalOf('search', 'runs/photos'),
    'search: must be followed by <images>, got none; type: npx kindred search <run> <images...>',
  )
  assert.is(refusalOf('presets', 'a', 'b', 'c'), 'presets: takes 1 argument; leave out b c')
  assert.is(refusalOf('doctor', 'gpu'), 'doctor: takes no arguments; leave out gpu')
})

test('an argument says its rule and the value, a negative number too', () => {
  for (const given of ['10%', '0', '0.5', 'all', '', "it's", '-3', '-10%'])
    assert.is(
      refusalOf('curate', 'select', given, 'runs/photos'),
      `curate select: <n> must be a whole number from 1 on, got ${given || "''"}; ` +
        'type: npx kindred curate select <n> <run>',
    )
})

test('the process ends with exit code 2, and prints an event under --json', async () => {
  const { code, out, err } = await kindred('train', '--json')
  assert.is(code, 2)
  assert.is(err, 'kindred: --json: is not known; npx kindred train --help lists the options\n')
  assert.equal(JSON.parse(out), {
    event: 'error',
    text: '--json: is not known; npx kindred train --help lists the options',
    code: 2,
  })
  const alone = await kindred()
  assert.is(alone.code, 2)
  assert.match(alone.err, /Begin here:/)
})

test.run()
