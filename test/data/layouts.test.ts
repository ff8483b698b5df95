import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Annotations, layoutOf } from '../../data/folder-layout.ts'

const test = suite('layouts')

/** What a folder with these images, and these folders without, is taken for. */
function look(
  paths: readonly string[],
  { empty = [], others = [], annotations = {}, id }: Extra = {},
) {
  const folders = paths.flatMap((path) => {
    const parts = path.split('/').slice(0, -1)
    return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
  })
  const found = {
    files: [...paths].sort().map((path) => ({
      ...{ path, mtime: 0, bytes: 1 },
      ...(id !== undefined && !path.includes('/c/') && { id }),
    })),
    skipped: [],
    folders: [...new Set([...folders, ...empty])],
    others: [...others],
  }
  const { files, classes, halves, notes, skipped } = layoutOf(
    found,
    (half) => annotations[half] ?? null,
  )
  const half = (wanted: boolean) =>
    files.filter(({ isTest }) => isTest === wanted).map(({ label }) => label ?? '-')
  return {
    train: half(false).join(' '),
    test: half(true).join(' '),
    classes,
    halves,
    notes,
    skipped,
  }
}

interface Extra {
  readonly empty?: readonly string[]
  readonly others?: readonly string[]
  /** Identifies the one file that all images outside of folders c are. */
  readonly id?: string
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

for (const [train, held] of [
  ['split_train', 'split_test'],
  ['x_train', 'x_test'],
  ['mydata-train', 'mydata-val'],
  ['My Data Train', 'my data Validation'],
  ['v1.training', 'v1.valid'],
  ['train_x', 'test_x'],
  ['TRAIN-a b', 'val-a b'],
  ['a_train_b', 'a_testing_b'],
] as const)
  test(`${train} and ${held} are the halves, by what their names share`, () => {
    const paths = under(`${train}/a`, `${train}/b`, `${held}/a`, `${held}/b`)
    const guess = `by their names, ${train} is taken for the training half and ${held} for the test half`
    const flat = look(paths)
    assert.equal(
      [flat.train, flat.test, flat.classes, flat.notes],
      ['a b', 'a b', ['a', 'b'], [guess]],
    )
    assert.equal(flat.halves, { train, test: held })
    const more = look([...paths, ...under('docs', 'other_train/a')])
    assert.equal([more.train, more.test], ['a b', 'a b'])
    assert.equal(more.notes, [
      guess,
      `2 images are in neither ${train} nor ${held} and are left alone: docs, other_train`,
    ])
    const deep = look(paths.map((path) => `set/${path}`))
    assert.equal([deep.train, deep.notes], ['a b', ['the folder set is taken for the set', guess]])
  })

test('of several tests that share a name the preferred one is taken', () => {
  const { halves, notes } = look(under('x_train/a', 'x_train/b', 'x_val/a', 'x_test/a', 'x_test/b'))
  assert.equal(halves, { train: 'x_train', test: 'x_test' })
  assert.is(notes[1], '1 image is in neither x_train nor x_test and is left alone: x_val')
})

const cycle = ['testA', 'testB', 'trainA', 'trainB']
const pairs = ['cats_test', 'cats_train', 'dogs_test', 'dogs_train']
for (const names of [cycle, pairs, ['test', 'val'], ['test_y', 'train_x'], ['xTest', 'yTrain']])
  test(`${names.join(', ')} are classes, and that is told`, () => {
    const { classes, halves, notes } = look(under(...names))
    assert.equal([classes, halves], [names, null])
    assert.equal(notes, [
      `the class names ${names.join(', ')} begin or end with train, test or val: these folders are taken for ` +
        'classes, not for halves; for halves, put the class folders into a folder train and a folder test',
    ])
  })

test('classes named as parts of a set are told, and names that only contain such words are not', () => {
  assert.equal(look(under('fold1', 'fold2')).notes, [
    'the class names fold1, fold2 are those of parts of a set: these folders are taken for classes; ' +
      'for one set, put the images of each class into one folder',
  ])
  assert.equal(look(under('trainer', 'contest', 'interval', 'valley', 'oval')).notes, [])
  assert.equal(look(under('train', 'bus', 'unfold1')).notes, [])
})

test('an image that links put into two classes or both halves is told', () => {
  const linked = (...paths: readonly string[]) =>
    look([...paths, ...under('train/c', 'test/c')], { id: '1' })
  assert.is(
    linked('train/a/1.jpg', 'train/b/1.jpg').notes.at(-1),
    '1 image is in two classes by links: train/a/1.jpg and train/b/1.jpg',
  )
  assert.is(
    linked('test/a/1.jpg', 'test/a/2.jpg', 'train/a/1.jpg').notes.at(-1),
    '2 images are in two halves by links: the first train/a/1.jpg and test/a/1.jpg',
  )
  assert.ok(!linked('train/a/1.jpg', 'train/a/2.jpg').notes.some((text) => text.includes('links')))
})

test('classes lie directly within, one folder deeper, or in a training half alone', () => {
  assert.equal(look(under('a', 'b')).classes, ['a', 'b'])
  assert.equal(look(under('photos/a', 'photos/b')).notes, [
    'the folder photos is taken for the set',
  ])
  const alone = look(under('train/a', 'train/b', 'bus'))
  assert.equal([alone.classes, alone.halves], [['a', 'b'], null])
  assert.equal(alone.notes, [
    '1 image beside the folder train is left out',
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
  assert.equal(notes, [
    '2 images beside the folder set are left out',
    'the folder set is taken for the set',
  ])
})

test('of several tests the one with classes is taken, and the rest told', () => {
  const paths = under('train/a/images', 'train/b/images', 'test/images', 'val/images')
  const annotations = { val: new Map([['1.jpg', 'b']]) }
  const { train, test: held, notes, halves } = look(paths, { annotations })
  assert.equal([train, held, halves], ['a b', 'b', { train: 'train', test: 'val' }])
  assert.equal(notes, [
    '1 image is in neither train nor val and is left alone: test',
    'the classes of val are read from its val_annotations.txt',
    'classes that only train has: a',
  ])
})

test('a half without classes is left alone, and no labels are read from files', () => {
  const {
    test: held,
    halves,
    notes,
  } = look([...under('train/a', 'train/b'), 'val/1.jpg', 'val/2.jpg'])
  assert.equal([held, halves], ['', null])
  assert.equal(notes, [
    'the 2 images of val have no classes and are left alone; a part of train is held out instead',
  ])
  assert.equal(look([...under('train/a', 'train/b'), 'val/1.jpg']).notes, [
    'the image of val has no class and is left alone; a part of train is held out instead',
  ])
  const table = look(['images/1.jpg', 'images/2.jpg'], { others: ['labels.csv', 'read.me'] })
  assert.equal(table.classes, [])
  assert.equal(table.notes, [
    'all images lie in one folder, images: with one class there are no labels',
    'labels in files are not read; put each class into a folder of its own: labels.csv',
  ])
  const bare = look(['train/1.jpg', 'test/1.jpg'])
  assert.equal([bare.train, bare.test, bare.classes], ['-', '-', []])
})

test('classes of one half only, or that differ in capitals, are named', () => {
  const { classes, notes } = look(under('train/cat', 'train/dog', 'val/Cat', 'val/dog'))
  assert.equal(classes, ['Cat', 'cat', 'dog'])
  assert.equal(notes, [
    'classes that only train has: cat',
    'classes that only val has, which no training image shows: Cat',
    'the classes Cat and cat differ in capitals only; rename one if they are the same',
  ])
})

test('composed and decomposed names are one class', () => {
  const {
    classes,
    train,
    test: held,
  } = look(under('train/café', 'train/tea', 'val/cafe\u0301', 'val/tea'))
  assert.equal(classes, ['café', 'tea'])
  assert.equal([train, held], ['café tea', 'café tea'])
})

test('loose images, empty class folders and folders within classes are told', () => {
  const paths = [...under('a #1, b', 'c\u001b[2J'), 'loose.jpg']
  const { classes, notes, skipped } = look(paths, { empty: ['cow', 'deep', 'deep/er'] })
  assert.equal(classes, ['a #1, b', 'c\u001b[2J'])
  assert.equal(skipped, [{ file: 'loose.jpg', reason: 'is in none of the class folders' }])
  assert.equal(notes, ['class folders without images, which are no classes: cow, deep'])
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
  assert.is(
    look([...paths, ...paths.map((path) => path.replace('train', 'val'))]).classes.length,
    1000,
  )
})

test.run()
