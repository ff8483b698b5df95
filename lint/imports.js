// The lint rule `kindred/imports` refuses imports against the order of the folders:
//   kernels <- engine <- models <- methods <- evaluate <- training <- run-folder <- cli
//   and worker and page-runs, of training and below.
// Inside kernels/ a room imports from lower floors only. A file of kernels/ that index.ts exports
// is an op; the other files of a room are its parts. Other folders, except test/, import only ops,
// the files directly in kernels/ and the parts in `shared`.

import { readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

export const root = join(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..')

/** Imports that each folder may have besides its own files: folders, single files of others,
 *  packages. */
export const layers = {
  kernels: { folders: [], packages: [] },
  engine: { folders: ['kernels'], packages: [] },
  models: { folders: ['kernels', 'engine'], packages: ['pbf'] },
  methods: { folders: ['kernels', 'engine', 'models'], packages: [] },
  evaluate: {
    folders: ['kernels', 'engine', 'models', 'methods'],
    packages: ['ml-matrix', 'ml-kmeans', 'umap-js'],
  },
  training: {
    folders: ['kernels', 'engine', 'models', 'methods', 'evaluate'],
    files: [
      ...['dataset', 'images-file', 'images-in-file', 'kinds', 'listed', 'loader', 'select'],
      'words',
    ].map((name) => `data/${name}.ts`), // free of Node
    packages: ['valibot', '@noble/hashes', 'fflate'],
  },
  worker: {
    folders: ['kernels', 'engine', 'evaluate', 'training'],
    files: ['dataset', 'images-file', 'images-in-file', 'loader', 'memory-dataset'].map(
      (name) => `data/${name}.ts`,
    ), // free of Node
    packages: ['comlink'],
  },
  'page-runs': {
    folders: ['kernels', 'engine', 'training'],
    files: ['dataset', 'images-file'].map((name) => `data/${name}.ts`), // free of Node
    packages: ['idb-keyval'],
  },
  images: {
    folders: ['kernels', 'engine'],
    files: ['dataset', 'image-format', 'memory-dataset', 'words'].map((name) => `data/${name}.ts`), // free of Node
    packages: [],
  },
  serving: { folders: ['kernels', 'engine', 'models', 'evaluate'], packages: [] },
  'run-folder': {
    folders: ['kernels', 'engine', 'models', 'evaluate', 'serving', 'training', 'data'],
    files: ['engine/node-files.ts', 'engine/node.ts'],
    packages: ['node:'],
  },
  data: {
    folders: ['kernels'],
    files: ['engine/node-files.ts', 'engine/safetensors.ts'],
    packages: ['node:', 'sharp'],
  },
  bench: { folders: ['dist', 'scripts'], packages: ['node:', ''] },
  'worker.ts': { folders: ['worker'], packages: [] },
  'index.ts': {
    folders: [
      ...['kernels', 'engine', 'models', 'methods', 'evaluate', 'serving', 'training'],
      ...['page-runs', 'images'],
    ],
    files: ['dataset', 'label-split', 'loader', 'memory-dataset', 'procedural', 'select'].map(
      (name) => `data/${name}.ts`,
    ), // free of Node
    packages: [],
  },
}

/** The files of engine/ that may import Node and Dawn. */
const node = ['node.ts', 'node-gpu.ts', 'node-files.ts', 'npy-file.ts', 'tune-file.ts'].map(
  (name) => `engine/${name}`,
)

/** Rooms of kernels/ on each floor, the lowest first. A room imports from the floors below its
 *  own. */
export const floors = [
  ['input-name.ts', 'limits.ts', 'options.ts', 'printable.ts', 'reason-of.ts'],
  ['abort.ts', 'form.ts', 'kernel.ts', 'loaded-later.ts', 'seeds.ts', 'turns.ts'],
  ['op.ts'],
  ['numbers.ts', 'pending.ts'],
  ['wgsl'],
  ['elementwise', 'shape', 'tiles', 'pool', 'similarity', 'augment', 'optim', 'state', 'resample'],
  ['reduce', 'matmul', 'norm'],
  ['attention', 'conv', 'loss', 'knn'],
  ['devices'],
]

/** Parts of rooms that other folders may import too. So are all files directly in kernels/. */
const shared = [
  'kernels/devices/',
  'kernels/optim/',
  'kernels/knn/',
  'kernels/reduce/non-finite.ts',
  'kernels/wgsl/add-all.ts',
  'kernels/resample/',
  'kernels/wgsl/affine.ts',
  'kernels/wgsl/indices.ts',
  'kernels/wgsl/storage.ts',
  'kernels/wgsl/threefry.ts',
]
const isShared = (path) =>
  path.split('/').length === 2 || shared.some((part) => path.startsWith(part))

/** Packages that only the named folder may import. */
const only = { 'methods/settings': ['valibot'], 'methods/presets': ['valibot'] }

const ops = new Set(
  [...readFileSync(join(root, 'index.ts'), 'utf8').matchAll(/from '\.\/(kernels\/[^']+)'/g)].map(
    ([, path]) => path,
  ),
)

/** Files of kernels that only devices of some kinds have: pages load them by kernels/devices/. */
const isOwn = (path) =>
  /-software\.ts$|subgroup|\/(tensor-cores|broadcast-load|column-of|data-gradient-norm|gemm-norm-sums|epilogue-(norm-sums|pieces))\.ts$/.test(
    path,
  ) || path.startsWith('kernels/devices/')
/** Files that may import kernels/devices/. */
const deviceLists = ['engine/kernels-for.ts', 'engine/node-gpu.ts']

const room = (path) => path.split('/')[1]
const floorOf = (path) => floors.findIndex((rooms) => rooms.includes(room(path)))

/** Returns why `from` may not import `to`, or null. Both are paths from the root. */
function refusal(from, to) {
  const layer = from.split('/')[0]
  const rule = layers[layer]
  const target = to.split('/')[0]
  if (rule?.files?.includes(to)) return null
  if (rule && target !== layer && !rule.folders.includes(target))
    return `${layer} imports only from ${[layer, ...rule.folders].join(', ')}`
  if (node.includes(to) && rule && !node.includes(from))
    return `${to} needs Node: only run-folder/, cli/ and node.ts import it`
  if (target !== 'kernels') return null
  if (layer !== 'test' && isOwn(to) && !isOwn(from) && !deviceLists.includes(from))
    return `${to} is for some devices: declare a form, and list it in kernels/devices/`
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
