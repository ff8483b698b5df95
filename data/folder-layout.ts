// What the folders of a set of images mean: which are the halves, which the classes. Whatever is a
// guess is noted.

import type { Skipped } from './dataset.ts'
import { Tree } from './folder-tree.ts'
import { listed } from './listed.ts'
import type { Found, ImageFile } from './image-files.ts'

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

const word = (names: string) =>
  new RegExp(
    `^(?:seg|images?|imgs?|data|dataset)?[ _-]?(?:${names})[ _-]?(?:set|data|dataset|images?|imgs?)?\\d*$`,
    'i',
  )
const TRAIN = word('train|training|trn')
const TESTS = [word('test|testing|tst'), word('val'), word('valid'), word('validation'), word('eval|dev')]
const isHalf = (name: string) => [TRAIN, ...TESTS].some((pattern) => pattern.test(name))
const GENERIC = /^(images?|imgs?|pictures?|photos?|jpe?gs?|pngs?|data|dataset)$/i

/** What the folders mean. `annotations` gives the classes of a half whose images lie in one
 *  folder, by its path, or null. */
export function layoutOf(found: Found, annotations: (half: string) => Annotations | null): FolderLayout {
  const tree = new Tree(found)
  const notes: string[] = []
  const base = baseOf(tree, notes)
  const names = halvesOf(tree, base)
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
  places.forEach((place) => noteEmpty({ tree, place, found, notes }))
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
    if (halvesOf(tree, base)) break
    const [one, ...more] = children.filter((name) => isWhole(tree, `${base}${name}/`, name))
    const [only, ...others] = children
    const isAlone = others.length === 0 && tree.loose(base) === 0
    const next = one !== undefined && more.length === 0 ? one : isAlone ? only : undefined
    if (next === undefined) break
    const left = tree.images(base) - tree.images(`${base}${next}/`)
    if (left > 0) notes.push(`${left} images beside the folder ${base}${next} are left out`)
    base += `${next}/`
  }
  if (tree.children(base).length < 2 && !halvesOf(tree, base)) return ''
  if (base !== '') notes.push(`the folder ${base.slice(0, -1)} is taken for the set`)
  return base
}

/** Whether a folder can only be a set of its own, not a class: it has halves, or it is a
 *  training half that holds classes. */
const isWhole = (tree: Tree, prefix: string, name: string) =>
  halvesOf(tree, prefix) !== null || (TRAIN.test(name) && tree.children(prefix).length > 1)

interface Halves {
  readonly train: string
  /** The test halves that there are, the preferred one first. */
  readonly tests: readonly string[]
}

function halvesOf(tree: Tree, base: string): Halves | null {
  const children = tree.children(base).sort()
  const exact = (names: string[], name: string) => (names.includes(name) ? name : names.at(-1))
  const train = exact(
    children.filter((name) => TRAIN.test(name)),
    'train',
  )
  const tests = TESTS.flatMap((pattern) => children.filter((name) => pattern.test(name)))
  return train !== undefined && tests.length > 0 ? { train, tests } : null
}

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
  if (left.length > 0)
    notes.push(
      `${left.length} images are in neither ${train} nor ${test} and are left alone: ${listed([...where])}`,
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
  return { files: bare, skipped: found.skipped, classes: [], halves, notes }
}

function labelled({ found, files, halves, notes, base }: Draft): FolderLayout {
  const isFlat = halves !== null && !files.some(({ isTest, label }) => isTest && label !== null)
  if (isFlat)
    notes.push(
      `the ${files.filter(({ isTest }) => isTest).length} images of ${halves.test} have no classes and are left alone; a part of ${halves.train} is held out instead`,
    )
  const used = isFlat ? files.filter(({ isTest }) => !isTest) : files
  const loose = used.filter(({ label }) => label === null)
  if (loose.length > 0)
    notes.push(
      `${loose.length} ${loose.length === 1 ? 'image beside the class folders is' : 'images beside the class folders are'} left out`,
    )
  const placed = used.filter(({ label }) => label !== null)
  const namesOf = (test: boolean) =>
    new Set(placed.flatMap(({ label, isTest }) => (isTest === test && label !== null ? [label] : [])))
  const [trained, tested] = [namesOf(false), namesOf(true)]
  const classes = [...new Set([...trained, ...tested])].sort()
  if (halves && !isFlat) noteDifferences({ trained, tested, halves, notes })
  noteNames(classes, notes)
  if (!halves) noteInner(placed, base, notes)
  const skipped = loose.map(({ path }) => ({ file: path, reason: 'is in none of the class folders' }))
  return {
    ...{ files: placed, skipped: [...found.skipped, ...skipped], classes, notes },
    halves: isFlat || !halves ? null : halves,
  }
}

interface Differences {
  readonly trained: ReadonlySet<string>
  readonly tested: ReadonlySet<string>
  readonly halves: { readonly train: string; readonly test: string }
  readonly notes: string[]
}

function noteDifferences({ trained, tested, halves, notes }: Differences) {
  const [a, b] = [
    [...trained].filter((name) => !tested.has(name)),
    [...tested].filter((name) => !trained.has(name)),
  ]
  if (a.length > 0) notes.push(`classes that only ${halves.train} has: ${listed(a)}`)
  if (b.length > 0)
    notes.push(`classes that only ${halves.test} has, whose images cannot be told right: ${listed(b)}`)
}

/** Classes whose names differ in capitals alone are likely one. */
function noteNames(classes: readonly string[], notes: string[]) {
  const seen = new Map<string, string>()
  for (const name of classes) {
    const other = seen.get(name.toLowerCase())
    if (other !== undefined)
      notes.push(`the classes ${other} and ${name} differ in capitals only; rename one if they are the same`)
    seen.set(name.toLowerCase(), name)
  }
}

/** Folders within class folders that all classes have may be the classes, or the halves. */
function noteInner(files: readonly Placed[], base: string, notes: string[]) {
  const byClass = new Map<string | null, Set<string>>()
  for (const { label, path } of files) {
    const inner = path.slice(base.length).split('/').slice(1, -1)[0]
    const known = byClass.get(label) ?? new Set()
    byClass.set(label, known)
    if (inner !== undefined) known.add(inner)
  }
  const [names = '', ...others] = [...byClass.values()].map((inner) => listed([...inner].sort()))
  const [first] = byClass.values()
  if (!first || first.size < 2 || others.some((one) => one !== names)) return
  const what = [...first].every(isHalf) ? 'halves' : 'classes'
  notes.push(`folders within the class folders are not taken for ${what}: ${names}`)
}

function noteEmpty({
  tree,
  place,
  found,
  notes,
}: Pick<Draft, 'found' | 'notes'> & { readonly tree: Tree; readonly place: string }) {
  const left = new Set(found.skipped.map(({ file }) => file)) // folders that could not be looked at
  const empty = tree.empty(place).filter((name) => !left.has(place + name))
  if (empty.length > 0) notes.push(`class folders without images, which are no classes: ${listed(empty)}`)
}
