// Serves trainings in a worker, by comlink.

import { type Endpoint, expose, transfer } from 'comlink'
import { callback, checkOptions } from '../kernels/options.ts'
import type { TrainingService } from './messages.ts'
import { type ServeOptions, TrainingServer } from './service.ts'
import type { TrainingPort } from './start.ts'

const rules = { open: callback, evaluate: callback }

/** Serves `startTraining` of the page that made this worker. Call it once, in the worker's script.
 *  `port` is what it listens on: the worker's own messages by default. Throws TypeError for wrong
 *  options. */
export function serveTraining(options: ServeOptions = {}, port?: TrainingPort) {
  const service = new TrainingServer(checkOptions('serveTraining', options, rules))
  const exposed: TrainingService = {
    hello: () => service.hello(),
    start: (message) => service.start(message),
    train: (onEvent) => service.train(onEvent),
    stop: () => service.stop(),
    async embed(of, layer) {
      const embeddings = await service.embed(of, layer)
      return transfer(embeddings, [embeddings.features.buffer as ArrayBuffer]) // `embed` made it
    },
    run: () => service.run(),
  }
  expose(exposed, (port ?? globalThis) as Endpoint) // a worker's globals are its port
}
