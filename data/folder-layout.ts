// What the folders of a set of images mean: which are the halves, which the classes. Whatever is a
// guess is noted.

import type { Skipped } from './dataset.ts'
import { differenceNotes, emptyNotes, innerNotes, linkNotes, nameNotes } from './folder-notes.ts'
import { Tree } from './folder-tree.ts'
import { type Halves, halvesIn, isHalf, isTrain } from './half-names.ts'
import type { Found, ImageFile } from './image-files.ts'
import { listed } from './listed.ts'
import { are, counted } from './words.ts'

/** An image and what its folders say of it. */
export interface Placed extends ImageFile {
  /** The class, composed as NFC; null where there is none. */
  readonly label: string | null
  readonly isTest: boolean
}

export interface FolderLayout {
  readonly files: readonly Placed[]
  readonly skipped: readonly Skipped[]
  /** Sorted; fewer than two mean that the set has no labels, and then there are none. */
  readonly classes: readonly string[]
  /** The folders of the halves; null where the folders do not say. */
  readonly halves: { readonly train: string; readonly test: string } | null
  readonly notes: readonly string[]
}

/** The classes that a file beside a half's images names: by the file's name. */
export type Annotations = ReadonlyMap<string, string>

const GENERIC = /^(images?|imgs?|pictures?|photos?|jpe?gs?|pngs?|data|dataset)$/i

/** What the folders mean. `annotations` gives the classes of a half whose images lie in one
 *  folder, by its path, or null. */
export function layoutOf(found: Found, annotations: (half: string) => Annotations | null): FolderLayout {
  const tree = new Tree(found)
  const notes: string[] = []
  const base = baseOf(tree, notes)
  const names = halvesIn(tree.children(base))
  const halves = names && chosen(tree, base, names, annotations, notes)
  const places = halves
    ? [placeOf(tree, `${base}${halves.train}/`), placeOf(tree, `${base}${halves.test}/`)]
    : [base]
  const files = places.flatMap((place, i) => {
    const known = i === 1 ? annotations(`${base}${halves?.test}`) : null
    return tree.within(place).map((file): Placed => {
      const label = labelOf(file.path, place) ?? known?.get(file.path.slice(place.length)) ?? null
      return { ...file, label, isTest: i === 1 }
    })
  })
  if (halves && annotations(`${base}${halves.test}`))
    notes.push(`the classes of ${halves.test} are read from its val_annotations.txt`)
  const classes = [
    ...new Set(files.flatMap(({ label, isTest }) => (label === null || isTest ? [] : [label]))),
  ]
  if (classes.length < 2) return unlabelled({ found, files, halves, notes, base, classes })
  notes.push(...places.flatMap((place) => emptyNotes(tree, place, found)))
  return labelled({ found, files, halves, notes, base })
}

/** The class that a path names below a place: the first folder. */
const labelOf = (path: string, place: string) => {
  const [name, ...below] = path.slice(place.length).split('/')
  return below.length > 0 && name !== undefined ? name.normalize('NFC') : null
}

/** The folder that holds the halves or the classes: the root, or one below when all lies in
 *  that. */
function baseOf(tree: Tree, notes: string[]): string {
  let base = ''
  for (;;) {
    const children = tree.children(base)
    if (halvesIn(children)) break
    const [one, ...more] = children.filter((name) => isWhole(tree, `${base}${name}/`, name))
    const [only, ...others] = children
    const isAlone = others.length === 0 && tree.loose(base) === 0
    const next = one !== undefined && more.length === 0 ? one : isAlone ? only : undefined
    if (next === undefined) break
    const left = tree.images(base) - tree.images(`${base}${next}/`)
    if (left > 0)
      notes.push(`${counted(left, 'image')} beside the folder ${base}${next} ${are(left)} left out`)
    base += `${next}/`
  }
  if (tree.children(base).length < 2 && !halvesIn(tree.children(base))) return ''
  if (base !== '') notes.push(`the folder ${base.slice(0, -1)} is taken for the set`)
  return base
}

/** Whether a folder can only be a set of its own, not a class: it has halves, or it is a
 *  training half that holds classes. */
const isWhole = (tree: Tree, prefix: string, name: string) =>
  halvesIn(tree.children(prefix)) !== null || (isTrain(name) && tree.children(prefix).length > 1)

/** The halves to use: of several tests the first that has classes, where the training half has
 *  some. */
function chosen(
  tree: Tree,
  base: string,
  { train, tests }: Halves,
  annotations: (half: string) => Annotations | null,
  notes: string[],
): { train: string; test: string } | null {
  const hasClasses = (half: string) => tree.children(placeOf(tree, `${base}${half}/`)).length > 0
  const test = tests.find((half) => hasClasses(half) || annotations(`${base}${half}`)) ?? tests[0] ?? ''
  const used = [train, test].map((half) => `${base}${half}/`)
  const left = tree.within(base).filter(({ path }) => !used.some((half) => path.startsWith(half)))
  const where = new Set(left.map(({ path }) => path.slice(base.length).split('/')[0] ?? ''))
  const count = left.length
  if (!isHalf(train))
    notes.push(`by their names, ${train} is taken for the training half and ${test} for the test half`)
  if (count > 0)
    notes.push(
      `${counted(count, 'image')} ${are(count)} in neither ${train} nor ${test} and ${are(count)} left alone: ${listed([...where])}`,
    )
  return { train, test }
}

/** Where the classes of a half lie: in it, or in its one folder when that is called 'images', or
 *  as a half is. */
function placeOf(tree: Tree, half: string): string {
  const [only, ...more] = tree.children(half)
  if (only === undefined || more.length > 0 || tree.loose(half) > 0) return half
  return GENERIC.test(only) || isHalf(only) ? placeOf(tree, `${half}${only}/`) : half
}

interface Draft {
  readonly found: Found
  readonly files: readonly Placed[]
  readonly halves: FolderLayout['halves']
  readonly notes: string[]
  readonly base: string
}

function unlabelled({
  found,
  files,
  halves,
  notes,
  classes,
}: Draft & { readonly classes: readonly string[] }): FolderLayout {
  const tables = found.others.filter((path) => /\.(csv|tsv|txt|json|jsonl|xml|mat|parquet|npy)$/i.test(path))
  const [only] = classes
  if (only !== undefined && files.some(({ label }) => label === null))
    notes.push(`images lie beside the one folder ${only}: all are taken, without labels`)
  else if (only !== undefined)
    notes.push(`one folder of images only, ${only}: one class tells nothing apart, so there are no labels`)
  else notes.push('there are no folders of classes, so there are no labels')
  if (tables.length > 0)
    notes.push(`labels in files are not read, put each class into a folder of its own: ${listed(tables)}`)
  const bare = files.map((file) => ({ ...file, label: null }))
  notes.push(...linkNotes(bare))
  return { files: bare, skipped: found.skipped, classes: [], halves, notes }
}

function labelled({ found, files, halves, notes, base }: Draft): FolderLayout {
  const isFlat = halves !== null && !files.some(({ isTest, label }) => isTest && label !== null)
  const bare = files.filter(({ isTest }) => isTest).length
  if (isFlat)
    notes.push(
      `the ${bare === 1 ? 'image of' : `${bare} images of`} ${halves.test} ${bare === 1 ? 'has no class and is' : 'have no classes and are'} left alone; a part of ${halves.train} is held out instead`,
    )
  const used = isFlat ? files.filter(({ isTest }) => !isTest) : files
  const loose = used.filter(({ label }) => label === null)
  if (loose.length > 0)
    notes.push(`${counted(loose.length, 'image')} beside the class folders ${are(loose.length)} left out`)
  const placed = used.filter(({ label }) => label !== null)
  const namesOf = (test: boolean) =>
    new Set(placed.flatMap(({ label, isTest }) => (isTest === test && label !== null ? [label] : [])))
  const [trained, tested] = [namesOf(false), namesOf(true)]
  const classes = [...new Set([...trained, ...tested])].sort()
  if (halves && !isFlat) notes.push(...differenceNotes(trained, tested, halves))
  notes.push(...nameNotes(classes), ...linkNotes(placed))
  if (!halves) notes.push(...innerNotes(placed, base))
  const skipped = loose.map(({ path }) => ({ file: path, reason: 'is in none of the class folders' }))
  return {
    ...{ files: placed, skipped: [...found.skipped, ...skipped], classes, notes },
    halves: isFlat || !halves ? null : halves,
  }
}
