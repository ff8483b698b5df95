// How long a Gpu can be used: until its device is lost or it is destroyed, whichever comes first. A
// device may outlive any number of Gpus, so it holds none of them: it has one handler for all,
// which knows them by weak references.

import { DeviceLostError } from './errors.ts'

type Listeners = Set<WeakRef<Lifetime>>

const listening = new WeakMap<GPUDevice, Listeners>()
const collected = new FinalizationRegistry<() => void>((drop) => drop())

/** Whether a Gpu can still be used, and what ended it. */
export class Lifetime {
  readonly #forget: () => void
  #end: DeviceLostError | null = null

  /** When it is collected instead of ended, a device that it `owns` is destroyed. */
  constructor(device: GPUDevice, owns: boolean) {
    const listeners = listening.get(device) ?? listenTo(device)
    const self = new WeakRef(this)
    const forget = () => void listeners.delete(self)
    listeners.add(self)
    this.#forget = forget
    const drop = () => {
      forget()
      if (owns) device.destroy() // Dawn keeps what is not destroyed, 11 MB of lavapipe's
    }
    collected.register(this, drop, this)
  }

  /** Throws the DeviceLostError that ended it. */
  check() {
    if (this.#end) throw this.#end
  }

  /** Ends it for a reason; the first one counts. */
  end(reason: string) {
    this.#end ??= new DeviceLostError(reason)
    collected.unregister(this)
    this.#forget()
  }
}

function listenTo(device: GPUDevice): Listeners {
  const listeners: Listeners = new Set()
  listening.set(device, listeners)
  void device.lost.then(({ reason, message }) => {
    const told = `the GPU device was lost (${reason}): ${message || 'no reason given'}`
    if (listening.get(device) === listeners) listening.delete(device) // a Gpu made later asks anew
    for (const listener of listeners) listener.deref()?.end(told)
  })
  return listeners
}
