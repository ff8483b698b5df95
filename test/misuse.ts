// Calls as plain JavaScript makes them, past the types, and what they are told.

import * as assert from 'uvu/assert'

/** What is done wrong, how, and the whole message. */
export type Misuse = readonly [what: string, act: () => unknown, message: string]

/** Calls a function with whatever is given. */
export const call = (f: unknown, ...given: readonly unknown[]): unknown =>
  (f as (...given: readonly unknown[]) => unknown)(...given) // past the types, as JavaScript does

/** Makes an object of a class with whatever is given. */
export const make = (of: unknown, ...given: readonly unknown[]): unknown =>
  Reflect.construct(of as new () => object, [...given]) // past the types, as JavaScript does

/** Asserts that each is refused with exactly its message. */
export async function refusesAll(misuses: readonly Misuse[]) {
  for (const [what, act, message] of misuses) assert.is(await toldOf(act), message, what)
}

async function toldOf(act: () => unknown): Promise<string> {
  try {
    await act()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return 'nothing: it was taken'
}
