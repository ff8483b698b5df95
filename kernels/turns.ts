// Long work in JavaScript that lets a page live: it takes turns with frames, input and messages.

const SHARE = 8 // ms of a turn: half a frame

/** Resolves in a later turn of the event loop. */
function nextTurn(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: { yield?: () => Promise<void> } } // of newer browsers
  if (scheduler?.yield) return scheduler.yield()
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel() // a timer would wait 4 ms, in a hidden tab a second
    const end = () => {
      port1.close()
      resolve()
    }
    port1.addEventListener('message', end, { once: true })
    port1.start()
    port2.postMessage(null)
  })
}

/** Returns a function to await between the parts of long work. It gives the event loop a turn
 *  whenever the last one was `ms` milliseconds ago. */
export function takingTurns(ms: number = SHARE): () => Promise<void> {
  let begun = performance.now()
  return async () => {
    if (performance.now() - begun < ms) return
    await nextTurn()
    begun = performance.now()
  }
}
