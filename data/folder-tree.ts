// Counts the images of every folder of a tree.

import type { Found, ImageFile } from './image-files.ts'

interface Node {
  /** Images at any depth. */
  images: number
  /** Images directly within. */
  loose: number
  /** Names of the folders directly within that hold images at any depth. */
  readonly children: Set<string>
}

/** A tree of folders. Paths given to its methods are '' or end in '/'. */
export class Tree {
  readonly #found: Found
  readonly #nodes = new Map<string, Node>()

  constructor(found: Found) {
    this.#found = found
    for (const { path } of found.files) {
      const parts = path.split('/').slice(0, -1)
      let prefix = ''
      for (const part of parts) {
        this.#count(prefix).children.add(part)
        prefix += `${part}/`
      }
      this.#count(prefix).loose++
    }
  }

  /** Adds one image to a node and returns it. */
  #count(prefix: string): Node {
    const node = this.#nodes.get(prefix) ?? { images: 0, loose: 0, children: new Set() }
    this.#nodes.set(prefix, node)
    node.images++
    return node
  }

  /** Returns the images at any depth. */
  within = (prefix: string): ImageFile[] =>
    this.#found.files.filter(({ path }) => path.startsWith(prefix))
  /** Returns the names of the folders directly within that hold images at any depth. */
  children = (prefix: string): string[] => [...(this.#nodes.get(prefix)?.children ?? [])]
  /** Counts the images at any depth. */
  images = (prefix: string): number => this.#nodes.get(prefix)?.images ?? 0
  /** Counts the images directly within. */
  loose = (prefix: string): number => this.#nodes.get(prefix)?.loose ?? 0
  /** Returns the names of the folders directly within that hold no image. */
  empty(prefix: string): string[] {
    const all = this.#found.folders.filter((path) => path.startsWith(prefix))
    const direct = all
      .map((path) => path.slice(prefix.length))
      .filter((name) => !name.includes('/'))
    const full = new Set(this.children(prefix))
    return direct.filter((name) => !full.has(name))
  }
}
