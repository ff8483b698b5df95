import * as assert from 'uvu/assert'
import { DataError } from '../data/dataset.ts'

/** The message of the DataError that `act` throws or rejects with; throws when there is none. */
export async function refusal(act: () => unknown): Promise<string> {
  try {
    await act()
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return error.message
  }
  throw new Error('was not refused')
}

/** Asserts that `act` throws an Error with exactly this message. uvu's `throws` takes a text for what to say on failure. */
export function refuses(act: () => unknown, message: string) {
  assert.throws(act, (error: unknown) => {
    assert.is(error instanceof Error ? error.message : error, message)
    return true
  })
}
