// Reads what a kernel declares from its WGSL: the entry point's name, the bindings and the members
// of `struct Params`.

import { describe } from './options.ts'

/** Access of a kernel to a binding. */
export type Access = 'read' | 'read_write' | 'uniform'

/** A compute shader and what its source declares, as the tag `kernel` reads it. */
export interface Kernel {
  /** The entry point's name, and the label that GPU debuggers and errors show. */
  readonly name: string
  /** The whole WGSL. */
  readonly source: string
  /** Access of each binding, by binding number. */
  readonly bindings: readonly Access[]
  /** Members of `struct Params` in order, each with its type: f32, i32 or u32. Empty without
   *  one. */
  readonly params: readonly (readonly [name: string, type: string])[]
}

/** A WGSL program. Its name, bindings and Params are read from its source. Only other WGSL fits in
 *  the holes: numbers go in Params or overrides. Throws TypeError for anything else. */
export function kernel(strings: TemplateStringsArray, ...snippets: Wgsl[]): Kernel {
  const source = wgsl(strings, ...snippets)
  const code = source.replaceAll(/\/\/.*|\/\*[^]*?\*\//g, '') // comments may contain declarations
  const [, name] = code.match(/@compute[^{]*?\bfn\s+(\w+)/) ?? []
  if (name === undefined)
    throw new TypeError('kernel: the WGSL must have an entry point, @compute fn name(...)')
  const bindings: Access[] = []
  for (const [, index, space, access] of code.matchAll(
    /@binding\((\d+)\)\s*var<(\w+)(?:,\s*(\w+))?>/g,
  )) {
    bindings[Number(index)] =
      space === 'uniform' ? 'uniform' : access === 'read_write' ? 'read_write' : 'read'
  }
  const [, fields = ''] = code.match(/\bstruct\s+Params\s*\{([^}]*)\}/) ?? []
  return {
    name,
    source,
    bindings,
    params: fields.split(/[,;]/).flatMap((field) => paramOf(name, field)),
  }
}

/** A member of `struct Params`. Throws TypeError for one that is not laid out as 4 bytes. */
function paramOf(name: string, field: string): (readonly [field: string, type: string])[] {
  const text = field.trim()
  if (text === '') return []
  const [, member = '', type = ''] = text.match(/^(\w+)\s*:\s*(f32|i32|u32)$/) ?? []
  if (member === '')
    throw new TypeError(
      `kernel ${name}: members of struct Params must be f32, i32 or u32 without attributes, got '${text}'; give each component a member of its own`,
    )
  return [[member, type]]
}

/** A piece of WGSL. Throws TypeError for a hole filled with anything but WGSL. */
export function wgsl(strings: TemplateStringsArray, ...snippets: Wgsl[]): Wgsl {
  const given: unknown = strings
  if (typeof given !== 'object' || given === null || !('raw' in given))
    throw new TypeError(
      `wgsl: it is a tag, to write in front of a template, wgsl\`...\`, got ${describe(given)}`,
    )
  for (const snippet of snippets as readonly unknown[])
    if (typeof snippet !== 'string')
      throw new TypeError(
        `wgsl: only WGSL fits in a hole, got ${describe(snippet)}; numbers go in Params or override declarations`,
      )
  return String.raw(strings, ...snippets) as Wgsl // the brand exists only in the type
}

/** A piece of WGSL, which only the tag `wgsl` makes. */
export type Wgsl = string & { readonly [isWgsl]: true }
declare const isWgsl: unique symbol
