// Finds out which folders of a set of images are the halves and which the classes. Notes every
// guess.

import type { Skipped } from './dataset.ts'
import { differenceNotes, emptyNotes, innerNotes, linkNotes, nameNotes } from './folder-notes.ts'
import { Tree } from './folder-tree.ts'
import { type Halves, halvesIn, isHalf, isTrain } from './half-names.ts'
import type { Found, Placed } from './image-files.ts'
import { listed } from './listed.ts'
import { are, counted } from './words.ts'

export interface FolderLayout {
  readonly files: readonly Placed[]
  readonly skipped: readonly Skipped[]
  /** Class names, sorted; empty when the set has no labels, that is with fewer than two. */
  readonly classes: readonly string[]
  /** Folders of the halves; null where no folders are halves. */
  readonly halves: { readonly train: string; readonly test: string } | null
  readonly notes: readonly string[]
}

/** The class of each image of a half, by file name, as a table beside the images tells. */
export type Annotations = ReadonlyMap<string, string>

const GENERIC = /^(images?|imgs?|pictures?|photos?|jpe?gs?|pngs?|data|dataset)$/i

/** Assigns every image its class and half. `annotations` returns the table of classes of the half
 *  at a path, or null. */
export function layoutOf(
  found: Found,
  annotations: (half: string) => Annotations | null,
): FolderLayout {
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

/** Returns the class of a path: the first folder below `place`; null when there is none. */
const labelOf = (path: string, place: string) => {
  const [name, ...below] = path.slice(place.length).split('/')
  return below.length > 0 && name !== undefined ? name.normalize('NFC') : null
}

/** Finds the folder that holds the halves or the classes: the root, or a folder below that is the
 *  only one. */
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

/** Tells whether a folder must be a set, not a class: it has halves, or it is a training half that
 *  holds classes. */
const isWhole = (tree: Tree, prefix: string, name: string) =>
  halvesIn(tree.children(prefix)) !== null || (isTrain(name) && tree.children(prefix).length > 1)

/** Chooses the halves to use: of several test halves the first that has classes, else the first.
 *  Notes the images in neither. */
function chosen(
  tree: Tree,
  base: string,
  { train, tests }: Halves,
  annotations: (half: string) => Annotations | null,
  notes: string[],
): { train: string; test: string } | null {
  const hasClasses = (half: string) => tree.children(placeOf(tree, `${base}${half}/`)).length > 0
  const test =
    tests.find((half) => hasClasses(half) || annotations(`${base}${half}`)) ?? tests[0] ?? ''
  const used = [train, test].map((half) => `${base}${half}/`)
  const left = tree.within(base).filter(({ path }) => !used.some((half) => path.startsWith(half)))
  const where = new Set(left.map(({ path }) => path.slice(base.length).split('/')[0] ?? ''))
  const count = left.length
  if (!isHalf(train))
    notes.push(
      `by their names, ${train} is taken for the training half and ${test} for the test half`,
    )
  if (count > 0)
    notes.push(
      `${counted(count, 'image')} ${are(count)} in neither ${train} nor ${test} and ${are(count)} ` +
        `left alone: ${listed([...where])}`,
    )
  return { train, test }
}

/** Finds the folder of a half's classes: the half, or its only folder when that is called 'images'
 *  or as a half is. */
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
  const tables = found.others.filter((path) =>
    /\.(csv|tsv|txt|json|jsonl|xml|mat|parquet|npy)$/i.test(path),
  )
  const [only] = classes
  if (only !== undefined && files.some(({ label }) => label === null))
    notes.push(`images lie beside the one folder ${only}: all are taken, without labels`)
  else if (only !== undefined)
    notes.push(`all images lie in one folder, ${only}: with one class there are no labels`)
  else notes.push('there are no folders of classes')
  if (tables.length > 0)
    notes.push(
      `labels in files are not read; put each class into a folder of its own: ${listed(tables)}`,
    )
  const bare = files.map((file) => ({ ...file, label: null }))
  notes.push(...linkNotes(bare))
  return { files: bare, skipped: found.skipped, classes: [], halves, notes }
}

function labelled({ found, files, halves, notes, base }: Draft): FolderLayout {
  const isFlat = halves !== null && !files.some(({ isTest, label }) => isTest && label !== null)
  const bare = files.filter(({ isTest }) => isTest).length
  if (isFlat)
    notes.push(
      (bare === 1
        ? `the image of ${halves.test} has no class and is left alone; `
        : `the ${bare} images of ${halves.test} have no classes and are left alone; `) +
        `a part of ${halves.train} is held out instead`,
    )
  const used = isFlat ? files.filter(({ isTest }) => !isTest) : files
  const loose = used.filter(({ label }) => label === null)
  const placed = used.filter(({ label }) => label !== null)
  const namesOf = (test: boolean) =>
    new Set(
      placed.flatMap(({ label, isTest }) => (isTest === test && label !== null ? [label] : [])),
    )
  const [trained, tested] = [namesOf(false), namesOf(true)]
  const classes = [...new Set([...trained, ...tested])].sort()
  if (halves && !isFlat) notes.push(...differenceNotes(trained, tested, halves))
  notes.push(...nameNotes(classes), ...linkNotes(placed))
  if (!halves) notes.push(...innerNotes(placed, base))
  const skipped = loose.map(({ path }) => ({
    file: path,
    reason: 'is in none of the class folders',
  }))
  return {
    ...{ files: placed, skipped: [...found.skipped, ...skipped], classes, notes },
    halves: isFlat || !halves ? null : halves,
  }
}
