// The files that are no pictures, each with the reason.

import type { SkippedFile } from '../common/api.ts'
import { countWords, make } from './elements.ts'

const SHOWN = 200

/** Fills the section; hides it when nothing was skipped. */
export function showSkipped(section: HTMLElement, skipped: readonly SkippedFile[]) {
  section.hidden = skipped.length === 0
  const list = make('ul', {})
  for (const { path, reason } of skipped.slice(0, SHOWN))
    list.append(make('li', {}, make('b', {}, path), ` ${reason}`))
  if (skipped.length > SHOWN) list.append(make('li', {}, `and ${skipped.length - SHOWN} more`))
  const summary = make('summary', {}, `${countWords(skipped.length, 'file')} skipped`)
  const details = make('details', {}, summary, list)
  details.open = skipped.length <= 5
  section.replaceChildren(details)
}

/** The same in a line. */
export function skippedWords(skipped: readonly SkippedFile[]): string {
  const [first, ...others] = skipped
  if (!first) return ''
  if (others.length === 0) return `${first.path} was skipped: ${first.reason}.`
  return `${countWords(skipped.length, 'file')} were skipped, ${first.path} among them: see below.`
}

/** The words about files of which none is a picture. */
export const noPictureWords = (count: number): string =>
  count === 1
    ? 'The file is not a picture that this browser can read.'
    : `None of the ${countWords(count, 'file')} is a picture that this browser can read.`
