// JSON from outside.

import { repeatedName } from '../engine/repeated-name.ts'

/** Parses a JSON text. Returns undefined when it is not JSON. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Tells whether a JSON value is an object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Says what keeps a text from being a JSON object, with the line: that it is none, or has a name
 *  twice. Returns null if it is one. */
export function objectFault(text: string): string | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const [, at] = (error instanceof Error ? error.message : '').match(/position (\d+)/) ?? []
    return `it is not a JSON object (line ${lineOf(text, at === undefined ? text.length : Number(at))})`
  }
  if (!isObject(value)) return 'it is not a JSON object'
  const twice = repeatedName(text)
  return twice && `it has the name '${twice.name}' twice (line ${lineOf(text, twice.at)})`
}

const lineOf = (text: string, at: number) => text.slice(0, at).split('\n').length
