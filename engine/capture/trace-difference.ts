// Compares two recorded steps, and says in words what the second did differently.

import { show } from '../../kernels/op.ts'
import type { Copied, Dispatched, Output, ReplayedCall, Temporary, Trace, Use } from './trace.ts'

/** Returns what step b did differently from step a, in words, or null if they differ at most in the
 *  values of functions. */
export function difference(a: Trace, b: Trace): string | null {
  for (const [i, now] of b.commands.entries()) {
    const words = commandDifference(a, b, a.commands[i], now)
    if (words) return words
  }
  if (a.commands.length !== b.commands.length)
    return `it gave ${b.commands.length} commands where the step before gave ${a.commands.length}`
  const unequal = b.temporaries.findIndex((t, i) => !sameTemporary(a.temporaries[i], t))
  if (unequal >= 0 || a.temporaries.length !== b.temporaries.length)
    return 'an op put other numbers on the GPU than in the step before'
  if (a.calls.map(nameOf).join() !== b.calls.map(nameOf).join())
    return 'other counts went on, or other params were functions, than in the step before'
  const same = b.outputs.every((output, i) => !useDifference(a, b, a.outputs[i], output))
  return same && a.outputs.map(describe).join() === b.outputs.map(describe).join()
    ? null
    : 'it returned other tensors than the step before'
}

function commandDifference(
  a: Trace,
  b: Trace,
  then: Dispatched | Copied | undefined,
  now: Dispatched | Copied,
): string | null {
  const ran = now.kind === 'copy' ? 'a copy' : now.kernel.name
  const before = then?.kind === 'dispatch' ? then.kernel.name : then && 'a copy'
  if (!then || then.kind !== now.kind || before !== ran)
    return `it ran ${ran} where the step before ran ${before ?? 'nothing'}`
  for (const [i, use] of now.uses.entries()) {
    const words = useDifference(a, b, then.uses[i], use)
    if (words) return `${ran}: binding ${i} ${words}`
  }
  if (then.kind === 'copy' || now.kind === 'copy')
    return then.kind === 'copy' && now.kind === 'copy' && then.at !== now.at
      ? 'a copy went to another offset'
      : null
  if (then.pipeline !== now.pipeline) return `${ran} was compiled with other constants`
  if (then.groups.join() !== now.groups.join())
    return `${ran} ran ${show(now.groups)} workgroups, before ${show(then.groups)}`
  const field = now.params.findIndex(
    (param, k) => typeof param === 'number' && !Object.is(param, then.params[k]),
  )
  if (field < 0) return null
  return `${ran}: ${now.kernel.params[field]?.[0]} was ${then.values[field]}, now ${now.values[field]}; give it as a function, () => value`
}

function useDifference(
  a: Trace,
  b: Trace,
  then: Pick<Use, 'ref'> | undefined,
  { ref }: Pick<Use, 'ref'>,
): string | null {
  if (then?.ref !== ref) return 'has another tensor than in the step before'
  if (ref >= 0)
    return a.temporaries[ref]?.bytes === b.temporaries[ref]?.bytes
      ? null
      : 'has another size than in the step before'
  const [outer, now] = [a.outer[-1 - ref], b.outer[-1 - ref]]
  if (outer?.storage !== now?.storage)
    return 'has a tensor from outside that is not the one of the step before; pass it as an input'
  return outer?.block === now?.block && outer?.offset === now?.offset
    ? null
    : 'has a variable that has moved'
}

function sameTemporary(a: Temporary | undefined, b: Temporary): boolean {
  const [then, now] = [a?.constant, b.constant]
  if (!then || !now) return then === now
  return then.length === now.length && then.every((byte, i) => byte === now[i])
}

const nameOf = (call: ReplayedCall) =>
  call.kind === 'action' ? 'action' : `${call.command}.${call.field}`

const describe = ({ tensor }: Output) => `${tensor.dtype} ${show(tensor.shape)}`
