// Numbers on the command line, checked as they are parsed.

import { InvalidArgumentError } from 'commander'
import { is } from 'valibot'
import * as rules from '../methods/settings/rules.ts'

/** Returns the number that a text says. Throws InvalidArgumentError with the rule. */
function parsed(text: string, rule: string, holds: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !holds(value)) throw new InvalidArgumentError(`must be ${rule}`)
  return value
}

const isCount = (value: number) => Number.isInteger(value) && value >= 1

/** Reads a whole number from 1 on. */
export function readCount(text: string) {
  return parsed(text, 'a whole number from 1 on', isCount)
}
/** Makes a reader of whole numbers from 1 to `most`. No GPU has the memory for more. */
const upTo = (most: number) => (text: string) =>
  parsed(text, `a whole number from 1 to ${most}`, (v) => isCount(v) && v <= most)
/** Reads the side of images in pixels. */
export const readPixels = upTo(8192)
/** Reads the channels of an encoder's first stage. ResNet's last stage has 32 times as many. */
export const readChannels = upTo(2048)
/** Reads the size of AMDIM's features. A layer has its square in weights. */
export const readFeatures = upTo(16_384)
/** Reads the number of a port. */
export const readPort = upTo(65_535)
/** Reads the name of a folder. */
export function readFolder(text: string) {
  if (text === '') throw new InvalidArgumentError('must name a folder')
  return text
}
/** Reads a whole number of 32 bits. */
export function readInteger(text: string) {
  return parsed(
    text,
    'a whole number from 0 to 4294967295',
    (v) => Number.isInteger(v) && v >= 0 && v <= 0xffffffff,
  )
}
/** Reads a number above 0. f32 holds the number and its reciprocal. */
export function readPositive(text: string) {
  return parsed(text, 'a number from 1.2e-38 to 3.4e38', (v) => is(rules.positiveNumber, v))
}
/** Reads a temperature. f32 has no reciprocal of a smaller one. */
export const readTemperature = readPositive
/** Reads a number from 0 to 1. */
export function readShare(text: string) {
  return parsed(text, 'a number from 0 to 1', (v) => v >= 0 && v <= 1)
}
/** Reads whole numbers from 1 on, separated by commas. */
export const readCounts = (text: string): number[] =>
  text
    .split(',')
    .map((each) => parsed(each, 'whole numbers from 1 on, separated by commas', isCount))
/** Reads learning rates above 0, separated by commas. */
export const readRates = (text: string): number[] =>
  text
    .split(',')
    .map((each) =>
      parsed(each, 'numbers above 0, separated by commas', (v) => is(rules.positiveNumber, v)),
    )
