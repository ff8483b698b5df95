// The refusals of a service: it is full, or it is closed. Callers tell them from failures.

/** A service's queue is full. The same request may be taken a little later. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError'
}

/** A service was closed, and takes no more requests. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError'
}
