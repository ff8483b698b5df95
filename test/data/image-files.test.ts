// Tests which files are found under a folder: links that lead to folders twice, and the order of
// all lists.

import { link, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { findImages } from '../../data/image-files.ts'
import { opened, picture, pictureSuite } from '../fixtures/images.ts'

const test = pictureSuite('image files')

/** Makes files of one byte, and links: 'b/loop -> ../a'. */
async function make(root: string, ...entries: readonly string[]) {
  for (const entry of entries) {
    const [path = '', target] = entry.split(' -> ')
    await mkdir(dirname(join(root, path)), { recursive: true })
    if (target === undefined) await writeFile(join(root, path), '-')
    else await symlink(target, join(root, path))
  }
}

async function look(root: string) {
  const { files, skipped } = await findImages(root)
  return {
    files: files.map(({ path }) => path).join(' '),
    skipped: skipped.map(({ file, reason }) => `${file} ${reason}`),
  }
}

test('a link to a folder that is read elsewhere puts no image there a second time', async ({
  folder,
}) => {
  if (process.platform === 'win32') return
  await make(
    folder,
    'a/1.png',
    'a/deep/2.png',
    'b/3.png',
    'b/loop -> ../a',
    'all -> a/deep',
    'self -> .',
  )
  assert.equal(await look(folder), {
    files: 'a/1.png a/deep/2.png b/3.png',
    skipped: [
      'all leads to the folder a/deep, which is read there already',
      'b/loop leads to the folder a, which is read there already',
      'self is a link back to a folder that it is in',
    ],
  })
})

test('each class keeps its own images where one links to the other', async ({ folder, cache }) => {
  if (process.platform === 'win32') return
  for (let i = 0; i < 5; i++) {
    await picture(join(folder, `a/${i}.png`))
    await picture(join(folder, `b/${i}.png`))
  }
  await symlink('../a', join(folder, 'b/loop'))
  const { train, test: held } = await opened(folder, { cache })
  assert.equal(
    [...(train.labels ?? []), ...(held.labels ?? [])].sort((a, b) => a - b),
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
  )
})

test('of several links to one folder elsewhere the highest is followed, then the first', async ({
  folder,
}) => {
  if (process.platform === 'win32') return
  const root = join(folder, 'set')
  await make(
    folder,
    'pool/x/1.png',
    'pool/up -> ../set',
    'pool/y -> x',
    'set/a/in/deep -> ../../../pool',
  )
  await make(folder, 'set/b -> ../pool', 'set/c -> ../pool/x')
  assert.equal(await look(root), {
    files: 'b/x/1.png',
    skipped: [
      'a/in/deep leads to the folder b, which is read there already',
      'b/up is a link back to a folder that it is in',
      'b/y leads to the folder b/x, which is read there already',
      'c leads to the folder b/x, which is read there already',
    ],
  })
})

test('links may sort the folders of a pool into halves', async ({ folder, cache }) => {
  if (process.platform === 'win32') return
  for (const name of ['cats', 'dogs', 'more'])
    for (const i of [0, 1]) await picture(join(folder, `pool/${name}/${i}.png`))
  await make(folder, 'my_train/cat -> ../pool/cats', 'my_train/dog -> ../pool/dogs')
  await make(folder, 'my_test/cat -> ../pool/more', 'pool/cats/round -> ../../my_train')
  const { train, test: held, about } = await opened(folder, { cache })
  assert.equal([train.classes, train.size, held.size], [['cat', 'dog'], 4, 2])
  assert.is(about?.split, 'folders my_train and my_test')
})

test('links to files are images of their own folder', async ({ folder, cache }) => {
  if (process.platform === 'win32') return
  for (const path of ['a/1.png', 'a/2.png', 'b/1.png']) await picture(join(folder, path))
  await symlink('../a/1.png', join(folder, 'b/soft.png'))
  await link(join(folder, 'a/2.png'), join(folder, 'b/hard.png'))
  const { train, test: held, about } = await opened(folder, { cache })
  assert.is(train.size + held.size, 5)
  assert.equal(about?.notes, [
    '2 images are in two classes by links: the first a/2.png and b/hard.png',
  ])
})

test('all lists are in the order of their names, whichever was looked at first', async ({
  folder,
}) => {
  if (process.platform === 'win32') return
  const names = ['a/b/1', ...Array.from({ length: 60 }, (_, i) => `a/c${i + 10}`), 'a/d', 'b']
  await make(
    folder,
    ...names.flatMap((name) => [`${name}.md`, `${name}.png`, `${name}.jpg -> none`]),
  )
  const { files, others, skipped } = await findImages(folder)
  const expected = (extension: string) => names.map((name) => `${name}.${extension}`)
  const found = [files.map(({ path }) => path), others, skipped.map(({ file }) => file)]
  assert.equal(found, ['png', 'md', 'jpg'].map(expected))
})

test.run()
