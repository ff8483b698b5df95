// What `npm run measure` runs, in order: tasks, each a program of bench/ or the command line, with
// the seconds that it may take of ten minutes.

import { join } from 'node:path'

/** The sizes of each part: as a GPU trains, or tiny, to see that all of it works. */
const SIZES = {
  full: {
    runs: '5',
    gemm: '1024x1024x1024,4096x4096x4096,8192x8192x8192',
    conv: ['--batch', '256', '--layer', '1,4,6,0'],
    pairs: ['--n', '1024,4096,16384'],
    queue: ['--k', '4096,65536'],
    maps: ['--n', '64,256', '--l', '25', '--r', '1024'],
    augment: [],
    step: { model: 'resnet18', width: 64, batch: 512, size: 32 },
    amdim: { width: 128, batch: 128, size: 32 },
    train: ['--model', 'resnet18', '--batch', '512', '--epochs', '10'],
  },
  tiny: {
    runs: '1',
    gemm: '64x64x64',
    conv: ['--batch', '1', '--layer', '6', '--pass', 'forward'],
    pairs: ['--n', '64'],
    queue: ['--k', '64', '--n', '16'],
    maps: ['--n', '8', '--l', '4', '--r', '16'],
    augment: ['--batch', '2'],
    step: { model: 'resnet8', width: 4, batch: 4, size: 16 },
    amdim: { width: 4, batch: 4, size: 32 },
    train: [
      ...['--model', 'resnet8', '--width', '4', '--size', '16', '--subset', '32', '--batch', '16'],
      ...['--epochs', '1', '--knn-bank', '32', '--knn-queries', '32'],
    ],
  },
}

/** Methods beside SimCLR, with the seconds that they may take. */
const METHODS = {
  moco: 12,
  'moco-v3': 12,
  amdim: 20,
  'memory-bank': 12,
  'end-to-end': 12,
  'simclr-training': 12,
  'simclr-lars': 10,
}

/** The first task, whose result the plan of the others rests on. */
export const first = ({ adapter }) => ({
  part: 'device',
  name: 'what it can do at most',
  seconds: 30,
  least: 20, // of a short run, too
  args: ['bench/peaks.js', '--json', '--runs', '3', ...named(adapter)],
})

/** The other tasks { part, name, seconds, args } for a device as `bench/peaks.js` describes it.
 *  `peers` is 'none', 'torch' or 'all'; one without seconds runs in the time that others left. */
export function tasksFor(device, { adapter, tiny, peers, data, batch, out }) {
  const size = SIZES[tiny ? 'tiny' : 'full']
  const step = batch ? { ...size.step, batch } : size.step
  // A CPU adapter computes every precision in f32.
  const precisions = device.software ? ['f32'] : device.precisions
  const plan = {
    ...{ device, size: { ...size, step }, precisions, peers },
    torch: peers !== 'none' && device.torch,
    rest: ['--json', '--runs', size.runs, ...named(adapter)],
    brief: tiny ? ['--idle-steps', '3'] : [],
    ceilings: ['--ceilings', JSON.stringify(device.most)],
  }
  return [
    ...checks(plan, adapter),
    ...products(plan),
    ...losses(plan, out),
    ...augmentation(plan),
    ...steps(plan),
    training(plan, { data, out, adapter }),
    ...(tiny ? [] : moreSteps(plan)),
  ]
}

const named = (adapter) => (adapter ? ['--adapter', adapter] : [])

/** What ops keep for the backward pass in a precision, as it is measured. */
const kept = (precision) => (precision === 'f16' ? 'f16' : 'f32')

/** Every op, and products in every tile that they may take. */
function checks({ device, precisions }, adapter) {
  // A CPU adapter computes f16x3 as f32; in f16 it keeps activations in f16.
  const all = device.precisions.filter((one) => !device.software || one !== 'f16x3')
  const ops = all.map((precision) => ({
    ...{ part: 'check', name: precision, seconds: 20 },
    args: [
      ...['bench/ops.js', '--json', '--precision', precision],
      ...['--activations', kept(precision), ...named(adapter)],
    ],
  }))
  const tiles = (name, seconds) => ({
    ...{ part: 'check', name: `tiles of ${name}`, seconds },
    args: [
      ...[`bench/${name}.js`, '--json', '--verify-only', '--precision', precisions.join()],
      ...named(adapter),
    ],
  })
  return [...ops, tiles('gemm', 15), tiles('conv', 30)]
}

function products({ size, precisions, torch, rest, ceilings }) {
  const task = (part, seconds, args) => {
    const own = [`bench/${part}.js`, '--no-verify', ...args, ...rest, ...ceilings]
    const ours = ['--no-torch', '--precision', precisions.join()]
    const theirs = { part, name: 'PyTorch', seconds: 15, args: [...own, '--only-torch'] }
    return [
      { part, name: precisions.join(', '), seconds, args: [...own, ...ours] },
      ...(torch ? [theirs] : []),
    ]
  }
  return [...task('gemm', 20, ['--size', size.gemm]), ...task('conv', 35, size.conv)]
}

/** Each alone, then in turns with other libraries, which take long to begin. */
function losses({ size, precisions, peers, torch, rest }, out) {
  const task = (name, label, seconds, args) => ({
    ...{ part: 'losses', name: label, seconds },
    args: [
      ...[`bench/${name}.js`, ...args, ...rest, '--dtype', precisions.join()],
      ...['--no-verify', '--limit', '2', '--patience', '30', '--out', join(out, label)],
    ],
  })
  const alone = (name, seconds, args) => task(name, name, seconds, [...args, '--only', 'kindred'])
  const beside = (name, seconds, args) =>
    task(name, `${name} beside peers`, seconds, [
      ...args,
      ...(peers === 'all' ? [] : ['--only', 'kindred,torch eager']),
    ])
  return [
    alone('ntxent', 20, size.pairs),
    alone('infonce', 12, size.queue),
    alone('nce-maps', 10, size.maps),
    ...(torch || peers === 'all'
      ? [beside('ntxent', 30, size.pairs), beside('infonce', 20, size.queue)]
      : []),
  ]
}

function augmentation({ size, torch, rest }) {
  const args = ['bench/augment.js', ...size.augment, ...rest]
  const ours = { part: 'augment', name: 'recipes', seconds: 20, args: [...args, '--no-torch'] }
  const theirs = { part: 'augment', name: 'torchvision, kornia', seconds: 12 }
  return torch ? [ours, { ...theirs, args: [...args, '--only-torch'] }] : [ours]
}

function stepTask(
  { size, device, rest, ceilings, brief },
  method,
  precision,
  { seconds, more = [] },
) {
  const sizes = Object.entries(method === 'amdim' ? size.amdim : size.step)
  return {
    ...{ part: 'steps', name: `${method}, ${precision}`, seconds },
    args: [
      ...['bench/step.js', '--quick', '--method', method, ...rest, ...ceilings, ...brief],
      ...sizes.flatMap(([name, value]) => [`--${name}`, String(value)]),
      ...['--precision', precision, '--activations', kept(precision)],
      ...(device.timestamps && method === 'simclr' ? ['--profile'] : []),
      ...more,
    ],
  }
}

/** SimCLR in every precision, the fastest first; the others in the fastest; the supervised step,
 *  which other libraries share. */
function steps(plan) {
  const [fastest] = [...plan.precisions].reverse()
  const step = (method, precision, given) => stepTask(plan, method, precision, given)
  const beside = plan.torch || plan.peers === 'all'
  return [
    ...[...plan.precisions].reverse().map((p) => step('simclr', p, { seconds: 20 })),
    step('supervised', 'f32', beside ? { seconds: 60, more: ['--peers'] } : { seconds: 20 }),
    ...Object.entries(METHODS).map(([method, seconds]) => step(method, fastest, { seconds })),
  ]
}

/** The other methods in the other precisions, in the time that is left. */
const moreSteps = (plan) =>
  plan.precisions
    .slice(0, -1)
    .flatMap((precision) =>
      Object.keys(METHODS).map((method) => stepTask(plan, method, precision, { seconds: 0 })),
    )

function training({ size, precisions }, { data, out, adapter }) {
  const precision = precisions.at(-1)
  return {
    ...{ part: 'training', name: data ?? 'procedural', seconds: 40 },
    args: [
      ...['dist/cli/kindred.js', 'train', 'simclr', '--data', data ?? 'procedural', ...size.train],
      ...['--precision', precision, '--activations', kept(precision), '--knn-every', '1'],
      ...['--json', '--out', join(out, 'run'), ...named(adapter)],
    ],
  }
}
