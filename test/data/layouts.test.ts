import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Annotations, layoutOf } from '../../data/folder-layout.ts'

const test = suite('layouts')

/** What a folder with these images, and these folders without, is taken for. */
function look(paths: readonly string[], { empty = [], others = [], annotations = {} }: Extra = {}) {
  const folders = paths.flatMap((path) => {
    const parts = path.split('/').slice(0, -1)
    return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
  })
  const found = {
    files: [...paths].sort().map((path) => ({ path, mtime: 0, bytes: 1 })),
    skipped: [],
    folders: [...new Set([...folders, ...empty])],
    others: [...others],
  }
  const { files, classes, halves, notes, skipped } = layoutOf(found, (half) => annotations[half] ?? null)
  const half = (wanted: boolean) =>
    files.filter(({ isTest }) => isTest === wanted).map(({ label }) => label ?? '-')
  return { train: half(false).join(' '), test: half(true).join(' '), classes, halves, notes, skipped }
}

interface Extra {
  readonly empty?: readonly string[]
  readonly others?: readonly string[]
  readonly annotations?: Readonly<Record<string, Annotations>>
}

const under = (...folders: readonly string[]) => folders.map((folder) => `${folder}/1.jpg`)

for (const [train, held] of [
  ['train', 'test'],
  ['Train', 'Test'],
  ['Training', 'Testing'],
  ['train', 'val'],
  ['TRAIN', 'Valid'],
  ['training', 'validation'],
  ['training_set', 'test_set'],
  ['train_images', 'val_images'],
  ['seg_train', 'seg_test'],
] as const)
  test(`${train} and ${held} are the halves, also one folder deeper`, () => {
    const paths = under(`${train}/a`, `${train}/b`, `${held}/a`, `${held}/b`)
    const flat = look(paths)
    assert.equal([flat.train, flat.test, flat.notes], ['a b', 'a b', []])
    assert.equal(flat.halves, { train, test: held })
    const deep = look(paths.map((path) => `data/deep er/${path}`))
    assert.equal([deep.train, deep.test], ['a b', 'a b'])
    assert.equal(deep.notes, ['the folder data/deep er is taken for the set'])
  })

test('classes lie directly within, one folder deeper, or in a training half alone', () => {
  assert.equal(look(under('a', 'b')).classes, ['a', 'b'])
  assert.equal(look(under('photos/a', 'photos/b')).notes, ['the folder photos is taken for the set'])
  const alone = look(under('train/a', 'train/b', 'bus'))
  assert.equal([alone.classes, alone.halves], [['a', 'b'], null])
  assert.equal(alone.notes, [
    '1 images beside the folder train are left out',
    'the folder train is taken for the set',
  ])
  assert.equal(look(under('train', 'bus')).classes, ['bus', 'train'])
})

test('a set beside other images is taken for the set, and those are counted', () => {
  const { train, notes } = look([
    ...under('set/train/a', 'set/train/b', 'set/val/a', 'set/val/b', 'docs'),
    'title.png',
  ])
  assert.is(train, 'a b')
  assert.equal(notes, ['2 images beside the folder set are left out', 'the folder set is taken for the set'])
})

test('of several tests the one with classes is taken, and the rest told', () => {
  const paths = under('train/a/images', 'train/b/images', 'test/images', 'val/images')
  const annotations = { val: new Map([['1.jpg', 'b']]) }
  const { train, test: held, notes, halves } = look(paths, { annotations })
  assert.equal([train, held, halves], ['a b', 'b', { train: 'train', test: 'val' }])
  assert.equal(notes, [
    '1 images are in neither train nor val and are left alone: test',
    'the classes of val are read from its val_annotations.txt',
    'classes that only train has: a',
  ])
})

test('a half without classes is left alone, and no labels are read from files', () => {
  const { test: held, halves, notes } = look([...under('train/a', 'train/b'), 'val/1.jpg', 'val/2.jpg'])
  assert.equal([held, halves], ['', null])
  assert.equal(notes, [
    'the 2 images of val have no classes and are left alone; a part of train is held out instead',
  ])
  const table = look(['images/1.jpg', 'images/2.jpg'], { others: ['labels.csv', 'read.me'] })
  assert.equal(table.classes, [])
  assert.equal(table.notes, [
    'one folder of images only, images: one class tells nothing apart, so there are no labels',
    'labels in files are not read, put each class into a folder of its own: labels.csv',
  ])
  const bare = look(['train/1.jpg', 'test/1.jpg'])
  assert.equal([bare.train, bare.test, bare.classes], ['-', '-', []])
})

test('classes of one half only, or that differ in capitals, are named', () => {
  const { classes, notes } = look(under('train/cat', 'train/dog', 'val/Cat', 'val/dog'))
  assert.equal(classes, ['Cat', 'cat', 'dog'])
  assert.equal(notes, [
    'classes that only train has: cat',
    'classes that only val has, whose images cannot be told right: Cat',
    'the classes Cat and cat differ in capitals only; rename one if they are the same',
  ])
})

test('composed and decomposed names are one class', () => {
  const { classes, train, test: held } = look(under('train/café', 'train/tea', 'val/cafe\u0301', 'val/tea'))
  assert.equal(classes, ['café', 'tea'])
  assert.equal([train, held], ['café tea', 'café tea'])
})

test('loose images, empty class folders and folders within classes are told', () => {
  const paths = [...under('a #1, b', 'c\u001b[2J'), 'loose.jpg']
  const { classes, notes, skipped } = look(paths, { empty: ['cow', 'deep', 'deep/er'] })
  assert.equal(classes, ['a #1, b', 'c\u001b[2J'])
  assert.equal(skipped, [{ file: 'loose.jpg', reason: 'is in none of the class folders' }])
  assert.equal(notes, [
    'class folders without images, which are no classes: cow, deep',
    '1 image beside the class folders is left out',
  ])
  assert.equal(look(under('a/train', 'a/test', 'b/train', 'b/test')).notes, [
    'folders within the class folders are not taken for halves: test, train',
  ])
  assert.equal(look(under('images/a', 'images/b', 'masks/a', 'masks/b')).notes, [
    'folders within the class folders are not taken for classes: a, b',
  ])
  assert.equal(look(under('a/images', 'b/images')).notes, [])
  assert.equal(look(['1.jpg', 'a/1.jpg']).notes, [
    'images lie beside the one folder a: all are taken, without labels',
  ])
  assert.equal(look(under('a', 'b'), { empty: ['c\u001b[2J\n'] }).notes, [
    'class folders without images, which are no classes: c\\x1b[2J\\n',
  ])
})

test('a tree of many classes is looked at once', () => {
  const paths = Array.from({ length: 20_000 }, (_, i) => `set/train/c${i % 1000}/${i}.jpg`)
  assert.is(look([...paths, ...paths.map((path) => path.replace('train', 'val'))]).classes.length, 1000)
})

test.run()
