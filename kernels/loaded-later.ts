// Parts of the library that are loaded when they are used.

import { reasonOf } from './reason-of.ts'

/** Loads a part. Rejects in the name of `owner` where it cannot be fetched: without a network, or
 *  from a server that has other files by now. */
export async function loadedLater<T>(owner: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new Error(
      `${owner}: a part of the library could not be loaded (${reasonOf(cause)}); load the page again`,
      { cause },
    )
  }
}
