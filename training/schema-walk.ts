// Walks a valibot schema: finds unknown fields, and the rule of a field.

import * as v from 'valibot'

/** Part of a valibot schema. */
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

/** Returns the schema that a node is a view of. */
const schemaOfNode = (node: Node) => node as unknown as v.GenericSchema

type Path = readonly (string | number)[]

/** A field that a schema does not know, and the known fields of the same object. */
export interface Unknown {
  readonly path: Path
  readonly known: readonly string[]
}

/** Lists the fields of `input`, at any depth, that the schema does not know. */
export const unknownFields = (schema: v.GenericSchema, input: unknown): Unknown[] =>
  unknownAt(schema, input, [])

/** Returns the rule of the field at `path`, in words. */
export function ruleAt(schema: v.GenericSchema, input: unknown, path: Path): string {
  const rule = schemaAt(schema, input, path)
  const { issues = [] } = rule ? v.safeParse(rule, undefined) : {}
  return issues[0]?.message ?? 'given'
}

/** Tells whether the rule of the field at `path` allows a value. */
export function fitsAt(schema: v.GenericSchema, input: unknown, path: Path, value: unknown) {
  const rule = schemaAt(schema, input, path)
  return rule !== null && v.is(rule, value)
}

/** Tells whether the schema knows the field at `path` of this input. */
export const isKnownAt = (schema: v.GenericSchema, input: unknown, path: Path): boolean =>
  schemaAt(schema, input, path) !== null

/** Returns the schema of a field that is given, or null for a path that the schema does not
 *  know. */
function schemaAt(schema: v.GenericSchema, input: unknown, path: Path): v.GenericSchema | null {
  let [node, value]: [Node | null, unknown] = [schema, input]
  for (const key of path) {
    const whole: Node | null = plain(node, value)
    const field =
      typeof key === 'number' ? (whole?.items?.[key] ?? whole?.item) : whole?.entries?.[key]
    node = field ?? null
    value = fieldOf(value, key)
  }
  return node && schemaOfNode(plain(node, value) ?? node)
}

function unknownAt(schema: Node, input: unknown, path: Path): Unknown[] {
  const { type, entries, items, item } = plain(schema, input) ?? { type: 'unknown' }
  if (Array.isArray(input))
    return input.flatMap((value: unknown, i) => {
      const element = items?.[i] ?? item
      return element ? unknownAt(element, value, [...path, i]) : []
    })
  if (type !== 'strict_object' || !entries || typeof input !== 'object' || input === null) return []
  const known = Object.keys(entries)
  return Object.entries(input).flatMap(([key, value]) => {
    const entry = Object.hasOwn(entries, key) ? entries[key] : undefined
    return entry ? unknownAt(entry, value, [...path, key]) : [{ path: [...path, key], known }]
  })
}

/** Returns the schema that checks this input, below optional, lazy and variant schemas. */
function plain(node: Node | null, input: unknown): Node | null {
  if (!node) return null
  if (node.getter) return plain(node.getter(input), input)
  if (node.wrapped) return plain(node.wrapped, input)
  const { key, options } = node
  if (node.type !== 'variant' || key === undefined || !options) return node
  const chosen = options.find(({ entries }) => {
    const entry = entries?.[key]
    return entry && v.is(schemaOfNode(entry), fieldOf(input, key))
  })
  return chosen ?? null
}

const fieldOf = (input: unknown, key: string | number): unknown =>
  typeof input === 'object' && input !== null ? Reflect.get(input, key) : undefined
