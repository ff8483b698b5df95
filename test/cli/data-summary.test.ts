import { Writable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkMeasurable, tellData } from '../../cli/data-summary.ts'
import { startProgress } from '../../cli/progress.ts'
import type { Split } from '../../data/dataset.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { printable } from '../../kernels/printable.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite('data summary')

/** A set whose labels are these. */
function half(
  labels: readonly number[],
  classes: readonly string[],
  skipped: readonly string[] = [],
) {
  const image = { height: 1, width: 1, channels: 3 }
  const pixels = new Uint8Array(labels.length * 3)
  const set = { name: 'folder', image, classes, labels: Int32Array.from(labels), pixels }
  return { ...memoryDataset(set), skipped: skipped.map((file) => ({ file, reason: 'is empty' })) }
}

const names = ['a\u001b[2J', 'b\n', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']
const split: Split = {
  train: half([0, 0, 1, -1], names, ['1.jpg', '2.jpg', '3\u009b.jpg', '4.jpg']),
  test: half([0, 2], names, ['1.jpg']),
  about: {
    path: '/data/\u202ephotos',
    split: 'folders train and val',
    notes: ['the folder x is taken for the set'],
    others: ['labels.csv'],
  },
}

/** What is printed of the set. */
function told(json: boolean, data: Split): string {
  let text = ''
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk)
      done()
    },
  }) as NodeJS.WriteStream // as much of one as progress needs
  tellData(data, startProgress({ json, stream }))
  return text
}

test('says what was read, and shows what a terminal would obey', () => {
  assert.is(
    told(false, split),
    [
      'read folder /data/\\u202ephotos: 4 training and 2 test images (folders train and val)',
      '  12 classes (training + test images): a\\x1b[2J 2 + 1, b\\n 1 + 0, c 0 + 1, d 0 + 0, e 0 + 0, f 0 + 0, g 0 + 0, h 0 + 0, i 0 + 0, j 0 + 0 and 2 more',
      '  the folder x is taken for the set',
      '  1 file left out by extension: labels.csv',
      '  4 files skipped: 1.jpg is empty; 2.jpg is empty; 3\\x9b.jpg is empty and 1 more',
      '',
    ].join('\n'),
  )
})

test('the same as one event, its names as they are', () => {
  const text = told(true, split)
  assert.is(text, `${printable(text.trimEnd())}\n`)
  const { event, data, skippedFiles } = JSON.parse(text) as Record<string, unknown>
  assert.equal([event, skippedFiles], ['note', 4])
  assert.equal(data, {
    source: 'folder',
    path: '/data/\u202ephotos',
    train: 4,
    test: 2,
    split: 'folders train and val',
    notes: ['the folder x is taken for the set'],
    classes: {
      count: 12,
      first: names.slice(0, 10).map((name, i) => ({
        name,
        train: [2, 1][i] ?? 0,
        test: [1, 0, 1][i] ?? 0,
      })),
    },
    others: { count: 1, first: ['labels.csv'] },
    skipped: {
      count: 4,
      first: ['1.jpg', '2.jpg', '3\u009b.jpg'].map((file) => ({ file, reason: 'is empty' })),
    },
  })
})

test('a set without labels has nothing to measure, and needs no story', () => {
  const image = { height: 1, width: 1, channels: 3 }
  const bare = memoryDataset({
    name: 'procedural',
    image,
    classes: [],
    labels: null,
    pixels: new Uint8Array(3),
  })
  assert.is(
    told(false, { train: bare, test: bare }),
    'read procedural: 1 training and 1 test image\n  no labels: nothing can be measured, training needs none\n',
  )
})

test('an evaluation of what has nothing to measure is refused', () => {
  const bare = { ...half([-1], []), labels: null }
  const folders = 'put each class into a folder of its own'
  const rule = (why: string, remedy: string) =>
    `eval knn: needs labelled training and test images, and folder:x has ${why}; ${remedy}, or name a labelled set with --data`
  checkMeasurable('eval knn', 'folder:x', split)
  const refused = (train: Split['train'], held: Split['test'], why: string, remedy = folders) =>
    refuses(() => checkMeasurable('eval knn', 'folder:x', { train, test: held }), rule(why, remedy))
  refused(bare, bare, 'no labels')
  const more = 'give classes 2 images or more each, of which one is tested on'
  refused(half([0, 1], names), half([], names), 'no test images', more)
  refused(half([-1], names), half([1], names), 'no labelled training images')
  refused(half([0, 1], names), half([-1], names), 'no labelled test images')
})

test.run()
