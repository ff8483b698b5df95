// Makes notes on oddities of a set's folders, a sentence each.

import type { Tree } from './folder-tree.ts'
import { halfLike, isHalf, partLike } from './half-names.ts'
import type { Found, Placed } from './image-files.ts'
import { listed } from './listed.ts'
import { counted } from './words.ts'

/** Names the classes that one half lacks. */
export function differenceNotes(
  trained: ReadonlySet<string>,
  tested: ReadonlySet<string>,
  halves: { readonly train: string; readonly test: string },
): string[] {
  const onlyTrained = [...trained].filter((name) => !tested.has(name))
  const onlyTested = [...tested].filter((name) => !trained.has(name))
  return [
    ...(onlyTrained.length > 0
      ? [`classes that only ${halves.train} has: ${listed(onlyTrained)}`]
      : []),
    ...(onlyTested.length > 0
      ? [
          `classes that only ${halves.test} has, which no training image shows: ${listed(onlyTested)}`,
        ]
      : []),
  ]
}

/** Names classes that differ in capitals alone, which are likely one, and those called like halves
 *  or parts of a set. */
export function nameNotes(classes: readonly string[]): string[] {
  const notes: string[] = []
  const seen = new Map<string, string>()
  for (const name of classes) {
    const other = seen.get(name.toLowerCase())
    if (other !== undefined)
      notes.push(
        `the classes ${other} and ${name} differ in capitals only; rename one if they are the same`,
      )
    seen.set(name.toLowerCase(), name)
  }
  const [halves, parts] = [halfLike(classes), partLike(classes)]
  if (halves.length > 0)
    notes.push(
      `the class names ${listed(halves)} begin or end with train, test or val: these folders are taken for ` +
        `classes, not for halves; for halves, put the class folders into a folder train and a folder test`,
    )
  if (parts.length > 0)
    notes.push(
      `the class names ${listed(parts)} are those of parts of a set: these folders are taken for classes; ` +
        `for one set, put the images of each class into one folder`,
    )
  return notes
}

/** Names folders that all class folders hold: they may be the true classes, or halves. */
export function innerNotes(files: readonly Placed[], base: string): string[] {
  const byClass = new Map<string | null, Set<string>>()
  for (const { label, path } of files) {
    const inner = path.slice(base.length).split('/').slice(1, -1)[0]
    const known = byClass.get(label) ?? new Set()
    byClass.set(label, known)
    if (inner !== undefined) known.add(inner)
  }
  const [names = '', ...others] = [...byClass.values()].map((inner) => listed([...inner].sort()))
  const [first] = byClass.values()
  if (!first || first.size < 2 || others.some((one) => one !== names)) return []
  const what = [...first].every(isHalf) ? 'halves' : 'classes'
  return [`folders within the class folders are not taken for ${what}: ${names}`]
}

/** Names class folders in `place` that hold no image, unless they could not be read. */
export function emptyNotes(tree: Tree, place: string, { skipped }: Found): string[] {
  const unread = new Set(skipped.map(({ file }) => file))
  const empty = tree.empty(place).filter((name) => !unread.has(place + name))
  return empty.length > 0
    ? [`class folders without images, which are no classes: ${listed(empty)}`]
    : []
}

/** Counts the files that links put into two classes or into both halves. */
export function linkNotes(files: readonly Placed[]): string[] {
  const first = new Map<string, Placed>()
  const twice = { classes: [] as string[], halves: [] as string[] }
  for (const file of files) {
    if (file.id === undefined) continue
    const other = first.get(file.id)
    if (!other) first.set(file.id, file)
    else if (other.isTest !== file.isTest) twice.halves.push(`${other.path} and ${file.path}`)
    else if (other.label !== file.label) twice.classes.push(`${other.path} and ${file.path}`)
  }
  return Object.entries(twice).flatMap(([where, pairs]) => {
    const [pair] = pairs
    const what = `${counted(pairs.length, 'image is', 'images are')} in two ${where} by links`
    return pair === undefined ? [] : [`${what}: ${pairs.length > 1 ? 'the first ' : ''}${pair}`]
  })
}
