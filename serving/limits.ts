// The limits of a service: sizes of batches, times, and how many requests it holds.

import { type Rules, count, notNegative, oneOf, rule, whole } from '../kernels/options.ts'

/** Limits of a service. */
export interface ServiceLimits {
  /** Most items of a batch; 32 by default. */
  readonly maxBatch?: number
  /** Longest that an item waits for others to share its batch while the device is idle, in
   *  milliseconds; 5 by default. It waits up to ten times as long for items that are being
   *  prepared, and up to a fifth of the last batch's time for callers whom that answered. With 0 it
   *  waits for nobody. */
  readonly maxWait?: number
  /** Most items in the service at a time: being prepared, waiting, and computed; 256 by default. */
  readonly queue?: number
  /** What happens to a request when the queue is full. 'refuse', the default, rejects it with
   *  QueueFullError; 'wait' lets it wait until there is room, in order. */
  readonly whenFull?: 'refuse' | 'wait'
  /** How often a batch is tried again on a new device after its device was lost; 2 by default. */
  readonly retries?: number
}

/** Options of one request. */
export interface RequestOptions {
  /** Gives the request up. Its promise rejects with the signal's reason at once. */
  readonly signal?: AbortSignal
  /** What happens when the queue is full, other than the service's `whenFull`. */
  readonly whenFull?: 'refuse' | 'wait'
}

/** Limits with their defaults. */
export type Limits = Required<ServiceLimits>

/** The most that a timer can wait for, in milliseconds. */
const LONGEST = 2 ** 31 - 1

const whenFull = oneOf('refuse', 'wait')

const duration = rule(
  'a number of milliseconds from 0 on',
  (v) => notNegative.fits(v) && Number(v) <= LONGEST,
)

/** Rules of the limits. */
export const limitRules: Rules<ServiceLimits> = {
  maxBatch: count,
  maxWait: duration,
  queue: count,
  whenFull,
  retries: whole,
}

/** Rules of the options of a request. */
export const requestRules: Rules<RequestOptions> = {
  signal: rule('an AbortSignal', (v) => v instanceof AbortSignal),
  whenFull,
}

/** Returns the limits with their defaults. Throws RangeError, whose message begins with `owner`,
 *  for a queue that holds less than a batch. */
export function limitsOf(owner: string, given: ServiceLimits): Limits {
  const { maxBatch = 32, maxWait = 5, whenFull: full = 'refuse', retries = 2 } = given
  const { queue = Math.max(256, 2 * maxBatch) } = given
  if (queue < maxBatch)
    throw new RangeError(
      `${owner}: queue must hold at least one batch of ${maxBatch}, got ${queue}; raise it, or ` +
        'lower maxBatch',
    )
  return { maxBatch, maxWait, queue, whenFull: full, retries }
}
