// Goes on with a new device when one is lost: a driver that was reset, a tab that slept, a GPU that
// another program took down.

import { DeviceLostError } from '../engine/errors.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Opens a Gpu: `openGpu`, or a function of an app that makes one on its device. */
export type OpenGpu = () => Gpu | Promise<Gpu>

/** What is done on a device, and what is told about it. */
export interface OnDevice<T> {
  /** Name of the work in messages. */
  readonly name: string
  readonly open: OpenGpu
  readonly signal?: AbortSignal | undefined
  /** Does the work, or the rest of it. */
  readonly work: (gpu: Gpu) => Promise<T>
  /** Grows whenever some of the work is saved, so that the next device begins later. */
  readonly saved: () => number
  /** Milliseconds before each attempt to open a device after a loss. */
  readonly pauses?: readonly number[]
  /** Receives a line about each lost device. */
  readonly note: (line: string, data: object) => void
}

const MOST = 3 // devices lost in a row without anything saved
const PAUSES = [0, 500, 1000, 2000, 4000] // ms before each attempt

/** Works on a Gpu, and on another one whenever its device is lost, until the work is done. Destroys
 *  each Gpu. Throws Error if three are lost in a row and nothing more was saved, or no other one can
 *  be opened. */
export async function onDevices<T>(on: OnDevice<T>): Promise<T> {
  let gpu = await on.open()
  for (let lost = 1, before = NaN; ; lost++) {
    const failed = await attempt(gpu, on.work)
    if ('result' in failed) return failed.result
    const saved = on.saved()
    if (saved !== before) [lost, before] = [1, saved]
    const { message } = failed.error
    if (lost === MOST)
      throw new Error(
        `${on.name}: ${MOST} devices in a row were lost before its next checkpoint, the last with: ` +
          `${message}; save more often (checkpointEvery), or take a smaller batch`,
        { cause: failed.error },
      )
    on.note(`${message}; going on from the last checkpoint with a new one`, { lost: message })
    gpu = await reopened(on, failed.error)
  }
}

/** Does the work on one Gpu. Resolves to its result, or the error of a lost device. */
async function attempt<T>(
  gpu: Gpu,
  work: (gpu: Gpu) => Promise<T>,
): Promise<{ readonly result: T } | { readonly error: DeviceLostError }> {
  try {
    return { result: await work(gpu) }
  } catch (error) {
    const loss = error instanceof DeviceLostError ? error : await lossOf(gpu)
    if (!loss) throw error
    return { error: loss }
  } finally {
    gpu.destroy()
  }
}

/** Resolves to the error of a device that is lost, else null. Other errors may come of it, too. */
const lossOf = (gpu: Gpu): Promise<DeviceLostError | null> =>
  gpu.check().then(
    () => null,
    (error: unknown) => (error instanceof DeviceLostError ? error : null),
  )

/** Opens a Gpu after a loss. A driver may need seconds until it has a device again. */
async function reopened(
  { name, open, signal, pauses = PAUSES }: OnDevice<unknown>,
  loss: Error,
): Promise<Gpu> {
  let cause: unknown = loss
  for (const pause of pauses) {
    await new Promise((resolve) => setTimeout(resolve, pause))
    if (signal?.aborted) throw loss
    try {
      return await open()
    } catch (error) {
      cause = error
    }
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new Error(
    `${name}: its device was lost, and no other could be opened: ${why}; its last checkpoint is ` +
      'intact, train again to go on from there',
    { cause },
  )
}
