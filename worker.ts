// kindred/worker: whole trainings in a worker of a page. Both sides import it: the page starts a
// training, and the worker's script serves it.

export { serveTraining } from './worker/serve.ts'
export type { ServeOptions } from './worker/service.ts'
export {
  type StartOptions,
  type TrainingPort,
  type WorkerEmbedOptions,
  type WorkerTraining,
  type WorkerTrainOptions,
  startTraining,
} from './worker/start.ts'
export type { WorkerGpu, WorkerImages } from './worker/messages.ts'
