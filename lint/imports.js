// The lint rule `kindred/imports`: which folder may import from which. Imports run one way:
//   kernels <- engine <- models <- methods <- evaluate <- cli
// and inside kernels/ from the upper floors to the lower ones. A file of kernels/ that index.ts
// exports is an op; the other files of a room are its parts: only the room itself and the rooms on
// the floors above it import them.

import { readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

const root = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..')

/** For each folder: the folders it may import besides itself, single files of others, and the
 *  packages. */
const layers = {
  kernels: { folders: [], packages: [] },
  engine: { folders: ['kernels'], packages: [] },
  models: { folders: ['kernels', 'engine'], packages: [] },
  methods: { folders: ['kernels', 'engine', 'models'], packages: [] },
  evaluate: { folders: ['kernels', 'engine', 'models', 'methods'], packages: [] },
  data: { folders: ['kernels'], files: ['engine/node-files.ts'], packages: ['node:', 'sharp'] },
  bench: { folders: ['dist'], packages: ['node:', ''] },
  'index.ts': { folders: ['kernels', 'engine', 'models', 'methods', 'evaluate'], packages: [] },
}

/** The files of engine/ that may import Node and Dawn. */
const node = ['engine/node.ts', 'engine/node-files.ts', 'engine/tune-file.ts']

/** Rooms of kernels/, from the ground up: a room imports from the floors below its own. */
export const floors = [
  ['limits.ts', 'options.ts', 'printable.ts'],
  ['op.ts'],
  ['numbers.ts'],
  ['wgsl'],
  ['elementwise', 'shape', 'tiles', 'pool', 'similarity', 'augment', 'optim', 'state'],
  ['reduce', 'matmul', 'norm'],
  ['conv', 'loss', 'knn'],
]

/** Parts of rooms that folders above kernels/ are built on, beside the contract: the files in
 *  kernels/ itself. */
const shared = [
  'kernels/optim/',
  'kernels/knn/',
  'kernels/wgsl/affine.ts',
  'kernels/wgsl/indices.ts',
  'kernels/wgsl/storage.ts',
  'kernels/wgsl/threefry.ts',
]
const isShared = (path) =>
  path.split('/').length === 2 || shared.some((part) => path.startsWith(part))

/** Packages that a single folder may import. */
const only = { 'methods/schemas': ['valibot'] }

const ops = new Set(
  [...readFileSync(join(root, 'index.ts'), 'utf8').matchAll(/from '\.\/(kernels\/[^']+)'/g)].map(
    ([, path]) => path,
  ),
)

const room = (path) => path.split('/')[1]
const floorOf = (path) => floors.findIndex((rooms) => rooms.includes(room(path)))

/** Why `from` may not import `to` (both as paths from the root), or null. */
function refusal(from, to) {
  const layer = from.split('/')[0]
  const rule = layers[layer]
  const target = to.split('/')[0]
  if (rule?.files?.includes(to)) return null
  if (rule && target !== layer && !rule.folders.includes(target))
    return `${layer} imports only from ${[layer, ...rule.folders].join(', ')}`
  if (node.includes(to) && rule && !node.includes(from))
    return `${to} needs Node: only cli/ and node.ts import it`
  if (target !== 'kernels') return null
  if (layer === 'kernels') {
    if (floorOf(to) < 0) return `${room(to)} is no room of kernels/: add it to lint/imports.js`
    return room(from) === room(to) || floorOf(to) < floorOf(from)
      ? null
      : `kernels/${room(from)} imports only from lower floors, and ${room(to)} is on floor ${floorOf(to)}`
  }
  if (layer === 'test' || ops.has(to) || isShared(to)) return null
  return `${to} is a part of its room: import an op that index.ts exports`
}

const imports = {
  meta: { type: 'problem' },
  create(context) {
    const from = relative(root, context.filename).split(sep).join('/')
    const rule = layers[from.split('/')[0]]
    const check = (node_) => {
      const source = node_.source?.value
      if (typeof source !== 'string') return
      if (!source.startsWith('.')) {
        const allowed = node.includes(from)
          ? ['node:', 'webgpu']
          : (only[dirname(from)] ?? rule?.packages)
        if (allowed && !allowed.some((name) => source.startsWith(name)))
          context.report({ node: node_, message: `${from} may not import the package ${source}` })
        return
      }
      const to = relative(root, join(dirname(context.filename), source))
        .split(sep)
        .join('/')
      const message = refusal(from, to)
      if (message) context.report({ node: node_, message })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    }
  },
}

export default imports
