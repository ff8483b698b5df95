// Finds the tensors within a value of any kind.

import type { Tensor } from '../kernels/op.ts'
import { Gradients } from './optim/gradients.ts'

/** Finds the tensors in a value: itself, or those in its arrays, maps, sets and objects, however
 *  deep. Does not see into functions and private fields. `instead` returns the parts of an object
 *  to search instead of its members, or null. */
export function tensorsIn(
  value: unknown,
  instead: (object: object) => Iterable<unknown> | null = () => null,
): Set<Tensor> {
  const tensors = new Set<Tensor>()
  const seen = new Set<object>()
  const open: unknown[] = [value]
  while (open.length > 0) {
    const one = open.pop()
    if (!isObject(one) || seen.has(one)) continue
    seen.add(one)
    if (isTensor(one)) tensors.add(one)
    else for (const part of instead(one) ?? partsOf(one)) if (isObject(part)) open.push(part)
  }
  return tensors
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const isTensor = (value: object): value is Tensor =>
  'gpu' in value && 'shape' in value && 'dtype' in value

/** Returns the members of an object that may be or hold tensors. */
function partsOf(value: object): Iterable<unknown> {
  if (ArrayBuffer.isView(value) || isMachine(value)) return []
  if (value instanceof Gradients) return [...value.tensors(), ...value.allParts()]
  if (value instanceof Map) return [...value.keys(), ...value.values()]
  return value instanceof Set ? value : Object.values(value)
}

const isMachine = (value: object) => 'apply' in value && 'run' in value
