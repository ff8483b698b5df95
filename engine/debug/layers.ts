// Tells to which layer an op belongs, by the names of the parameters among its inputs.

import type { Tensor } from '../../kernels/op.ts'
import { isTensor, rule } from '../../kernels/options.ts'
import { variableName } from '../names.ts'
import type { Named } from '../named.ts'

/** The place of an op in a model. */
export interface Place {
  /** The names of the parameters among its inputs. */
  readonly parameters: readonly string[]
  /** The layers whose parameters it takes, such as 'conv1, bn1'; null for an op without any. */
  readonly layer: string | null
  /** For an op without parameters, the last layer that led to its first input. */
  readonly after: string | null
}

/** The place of a kernel outside of ops. */
export const NOWHERE: Place = { parameters: [], layer: null, after: null }

/** The rule of an option `parameters`. */
export const namedRule = rule(
  'variables by name, as parametersOf returns',
  (v) => typeof v === 'object' && v !== null && Object.values(v).every(isTensor),
)

/** Follows tensors from layer to layer. */
export class Layers {
  readonly #names: ReadonlyMap<Tensor, string>
  readonly #places = new WeakMap<Tensor, Place>()

  /** Takes the names of Builder and of optimizers, and, before these, those given. */
  constructor(names: Named = {}) {
    this.#names = new Map(Object.entries(names).map(([name, variable]) => [variable, name]))
  }

  /** Returns the name of a variable, or null. */
  name(variable: Tensor): string | null {
    return this.#names.get(variable) ?? variableName(variable) ?? null
  }

  /** Returns the place of an op with these inputs. */
  place(inputs: readonly Tensor[]): Place {
    const names = inputs.flatMap((input) => this.name(input) ?? [])
    if (names.length > 0) return { parameters: names, layer: layersOf(names), after: null }
    const before = inputs.flatMap((input) => this.#places.get(input) ?? [])[0]
    return { parameters: [], layer: null, after: before?.layer ?? before?.after ?? null }
  }

  /** Notes where tensors were made. */
  made(tensors: readonly (Tensor | null)[], place: Place) {
    for (const tensor of tensors) if (tensor) this.#places.set(tensor, place)
  }
}

/** 'a.conv1.weight', 'a.bn1.weight', 'a.bn1.bias' -> 'a.conv1, bn1'. */
function layersOf(names: readonly string[]): string {
  const layers = [...new Set(names.map((name) => name.replace(/\.[^.]+$/, '')))]
  const [first = '', ...others] = layers
  const stem = first.slice(0, first.lastIndexOf('.') + 1)
  const short = others.map((layer) => (layer.startsWith(stem) ? layer.slice(stem.length) : layer))
  return [first, ...short].join(', ')
}
