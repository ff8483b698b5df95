// Numbers on the command line, checked as they are parsed.

import { InvalidArgumentError } from 'commander'

function parsed(text: string, rule: string, holds: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !holds(value)) throw new InvalidArgumentError(`it must be ${rule}.`)
  return value
}
/** A whole number from 1 on. */
export function count(text: string) {
  return parsed(text, 'a whole number from 1 on', (v) => Number.isInteger(v) && v >= 1)
}
/** A whole number that 32 bits hold. */
export function whole(text: string) {
  return parsed(
    text,
    'a whole number from 0 to 4294967295',
    (v) => Number.isInteger(v) && v >= 0 && v <= 0xffffffff,
  )
}
/** A number above 0. */
export function positive(text: string) {
  return parsed(text, 'a number above 0', (v) => v > 0 && Number.isFinite(v))
}
/** A number from 0 to 1. */
export function share(text: string) {
  return parsed(text, 'a number from 0 to 1', (v) => v >= 0 && v <= 1)
}
/** Whole numbers from 1 on, separated by commas. */
export function counts(text: string) {
  return text.split(',').map(count)
}
