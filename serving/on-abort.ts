// One listener for each AbortSignal, however many requests share it. Node warns of a leak at the
// eleventh listener.

const listening = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `act` when the signal aborts. Returns a function that takes that back. */
export function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  if (!signal) return () => {}
  const acts = listening.get(signal) ?? listenTo(signal)
  acts.add(act)
  return () => void acts.delete(act)
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const acts = new Set<() => void>()
  listening.set(signal, acts)
  const tell = () => {
    for (const act of acts) act()
  }
  signal.addEventListener('abort', tell, { once: true })
  return acts
}
