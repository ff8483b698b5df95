// What a schema says about a place in what it describes: which fields are known there, and by which
// rule.

import * as v from 'valibot'

/** As much of a valibot schema as is looked at. */
interface Node {
  readonly type: string
  readonly wrapped?: Node
  readonly getter?: (input: unknown) => Node
  readonly key?: string
  readonly options?: readonly Node[]
  readonly entries?: Readonly<Record<string, Node>>
  readonly items?: readonly Node[]
  readonly item?: Node
}

type Path = readonly (string | number)[]

/** A field that a schema has no place for, and the fields that it has there. */
export interface Unknown {
  readonly path: Path
  readonly known: readonly string[]
}

/** The fields of `input`, at any depth, that the schema does not know. */
export const unknownFields = (schema: v.GenericSchema, input: unknown): Unknown[] =>
  unknownAt(schema, input, [])

/** The rule of the field at `path`, in words. */
export function ruleAt(schema: v.GenericSchema, input: unknown, path: Path): string {
  let [node, value]: [Node | null, unknown] = [schema, input]
  for (const key of path) {
    const whole: Node | null = plain(node, value)
    const place =
      typeof key === 'number' ? (whole?.items?.[key] ?? whole?.item) : whole?.entries?.[key]
    node = place ?? null
    value = fieldOf(value, key)
  }
  if (!node) return 'given'
  const { issues = [] } = v.safeParse(node as unknown as v.GenericSchema, undefined) // the same objects again
  return issues[0]?.message ?? 'given'
}

function unknownAt(schema: Node, input: unknown, path: Path): Unknown[] {
  const { type, entries, items, item } = plain(schema, input) ?? { type: 'unknown' }
  if (Array.isArray(input))
    return input.flatMap((value: unknown, i) => {
      const place = items?.[i] ?? item
      return place ? unknownAt(place, value, [...path, i]) : []
    })
  if (type !== 'strict_object' || !entries || typeof input !== 'object' || input === null) return []
  const known = Object.keys(entries)
  return Object.entries(input).flatMap(([key, value]) => {
    const entry = Object.hasOwn(entries, key) ? entries[key] : undefined
    return entry ? unknownAt(entry, value, [...path, key]) : [{ path: [...path, key], known }]
  })
}

/** The schema that decides about this input: what is optional, or chosen by the input, seen
 * through. */
function plain(node: Node | null, input: unknown): Node | null {
  if (!node) return null
  if (node.getter) return plain(node.getter(input), input)
  if (node.wrapped) return plain(node.wrapped, input)
  const { key, options } = node
  if (node.type !== 'variant' || key === undefined || !options) return node
  const chosen = options.find(({ entries }) => {
    const entry = entries?.[key]
    return entry && v.is(entry as unknown as v.GenericSchema, fieldOf(input, key)) // the same objects again
  })
  return chosen ?? null
}

const fieldOf = (input: unknown, key: string | number): unknown =>
  typeof input === 'object' && input !== null ? Reflect.get(input, key) : undefined
