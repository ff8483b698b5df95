// Starts the page's workers. A worker from a file has the policy of that file's headers, which a
// static host does not send; one from a blob has the page's own. So each begins with a blob that
// imports its file, and nothing in it can reach the network either.

import { type Remote, wrap } from 'comlink'
import type { PhotoWorker } from '../common/api.ts'
import type { LayoutWorker } from '../layout/worker.ts'

/** Called when a worker has ended by itself: out of memory, or its file is missing. */
type OnEnd = (reason: string) => void

function start(file: string, onEnd: OnEnd): Worker {
  const from = new URL(file, import.meta.url).href
  const text = `import ${JSON.stringify(from)}`
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
  const worker = new Worker(url, { type: 'module', name: file })
  worker.addEventListener('error', ({ message }) => onEnd(message || `${file} did not start`))
  return worker
}

export const photoWorker = (onEnd: OnEnd): Remote<PhotoWorker> =>
  wrap<PhotoWorker>(start('trainer.js', onEnd))
export const layoutWorker = (onEnd: OnEnd): Remote<LayoutWorker> =>
  wrap<LayoutWorker>(start('layout.js', onEnd))
