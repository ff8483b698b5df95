// Numbers on the command line, checked as they are parsed.

import { InvalidArgumentError } from 'commander'
import { is } from 'valibot'
import * as rules from '../methods/settings/rules.ts'

function parsed(text: string, rule: string, holds: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !holds(value)) throw new InvalidArgumentError(`it must be ${rule}.`)
  return value
}
/** A whole number from 1 on. */
export function readCount(text: string) {
  return parsed(text, 'a whole number from 1 on', (v) => Number.isInteger(v) && v >= 1)
}
/** Whole numbers from 1 up to a limit above which no GPU has the memory. */
const upTo = (most: number) => (text: string) =>
  parsed(
    text,
    `a whole number from 1 to ${most}`,
    (v) => Number.isInteger(v) && v >= 1 && v <= most,
  )
/** A side of images in pixels. */
export const readPixels = upTo(8192)
/** The channels of an encoder's first stage; of ResNet's last stage there are 32 times as many. */
export const readChannels = upTo(2048)
/** The size of AMDIM's features; layers have the square of it in weights. */
export const readFeatures = upTo(16_384)
/** A folder's name. */
export function readFolder(text: string) {
  if (text === '') throw new InvalidArgumentError('it must name a folder.')
  return text
}
/** A whole number that 32 bits hold. */
export function readInteger(text: string) {
  return parsed(
    text,
    'a whole number from 0 to 4294967295',
    (v) => Number.isInteger(v) && v >= 0 && v <= 0xffffffff,
  )
}
/** A number above 0 that f32 holds, and whose reciprocal it holds. */
export function readPositive(text: string) {
  return parsed(text, 'a number from 1.2e-38 to 3.4e38', (v) => is(rules.positiveNumber, v))
}
/** A temperature: f32 has no reciprocal of a smaller one. */
export function readTemperature(text: string) {
  return parsed(text, 'a number from 1.2e-38 on, up to 3.4e38', (v) => is(rules.positiveNumber, v))
}
/** A number from 0 to 1. */
export function readShare(text: string) {
  return parsed(text, 'a number from 0 to 1', (v) => v >= 0 && v <= 1)
}
/** Whole numbers from 1 on, separated by commas. */
export function readCounts(text: string) {
  return text.split(',').map(readCount)
}
