import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Collects what nothing holds, and runs the finalizers, until `isDone`, or so many times: garbage is not always found at once. */
export async function collectUntil(isDone: () => boolean, most = 200): Promise<void> {
  for (let i = 0; i < most && !isDone(); i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
