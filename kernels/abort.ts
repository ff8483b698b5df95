// Ends long work early, by an AbortSignal. Whatever takes a `signal` rejects with its reason.

import { having } from './options.ts'

/** The option of long work. */
export interface Abortable {
  /** Ends the work when aborted: it rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** The rule of this option. */
export const abortable = {
  signal: having(
    'an AbortSignal, as new AbortController().signal',
    'aborted',
    'throwIfAborted',
    'addEventListener',
  ),
}

/** Resolves as `work` does, unless `signal` is aborted before: then rejects with its reason at
 *  once, and ignores what becomes of `work`. */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: PromiseLike<T>,
): Promise<T> {
  if (!signal) return work
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- as throwIfAborted does
    onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Yields the items until `signal` is aborted: then throws its reason at once, and tells the source
 *  to end. */
export async function* untilAborted<T>(
  signal: AbortSignal | undefined,
  items: AsyncIterable<T> | Iterable<T>,
): AsyncGenerator<T, void, undefined> {
  signal?.throwIfAborted()
  const source =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let isOpen = true
  try {
    for (;;) {
      const { done = false, value } = await unlessAborted(signal, Promise.resolve(source.next()))
      isOpen = !done
      if (done) return
      yield value
    }
  } catch (error) {
    isOpen &&= signal?.aborted === true
    throw error
  } finally {
    const ending = isOpen ? Promise.resolve(source.return?.()) : null
    // an aborted source may be waiting, for as long as it likes
    if (signal?.aborted) ending?.catch(() => undefined)
    else await ending
  }
}
