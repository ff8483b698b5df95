// The results as Markdown, ready for bench/RESULTS.md. What was not measured has no row.

import { digits } from '../lib/numbers.js'
import { table as lossTable } from '../lib/report.js'
import { table } from '../lib/table.js'

const percent = (share) =>
  share === null || share === undefined || Number.isNaN(share) ? '-' : `${digits(100 * share)} %`
const spread = ({ median, min, max }) => `${digits(median)} (${digits(min)}..${digits(max)})`
const rows = (head, lines) =>
  lines.length === 0 ? '' : `${table([head, ...lines], { markdown: true })}\n`

const blocks = (texts) => texts.filter(Boolean).join('\n')

/** The whole report of a run; see keep.js. */
export function markdown(results) {
  const { device, tasks } = results
  const of = (part) => tasks.filter((task) => task.part === part && task.results)
  const sections = [
    ['Checked against float64', checked(of('check'))],
    ['Matrix products', products(of('gemm'))],
    ['Convolutions', products(of('conv'))],
    ['Losses', blocks(of('losses').map(losses))],
    ['Augmentation', augmentation(of('augment'))],
    ['Training steps', steps(of('steps'), device)],
    ["Where a step's time goes", blocks(of('steps').map(kernels))],
    ['A short training', blocks(of('training').map(training))],
    ['Failed or not measured', missing(tasks)],
  ]
  const text = sections
    .filter(([, body]) => body.trim() !== '')
    .map(([title, body]) => `### ${title}\n\n${body}`)
  return [heading(results), ...text].join('\n')
}

function heading({ device, started, command }) {
  if (!device) return `## Measured ${started}\n\n    ${command}\n`
  const { adapter, driver, software, environment: e, most } = device
  const kind = software ? ' (a CPU adapter: times are CPU time of all threads)' : ''
  const matrices = most.matrices > 0 ? `${digits(most.matrices)} of subgroup matrices, ` : ''
  return `## ${adapter}${kind}

${driver}; kindred ${e.kindred}, Node ${e.node}, Dawn from ${e.dawn}, ${e.cpu}, ${started}.
Measured ceilings: ${digits(most.fma)} GFLOP/s of multiply-adds in registers,
${matrices}${digits(most.copy)} GB/s of a copy, ${digits(most.launch)} us a dispatch.

    ${command}
`
}

const checked = (tasks) =>
  rows(
    ['what', 'cases', 'passed', 'largest error of a value', 'of a gradient', 'wrong'],
    tasks
      .filter(({ results }) => results[0])
      .map(({ name, results: [found] }) => {
        const all = found.results ?? found.checks
        const exact = all.filter(({ most = 0 }) => most < 0.01) // the others are chance
        const worst = (of) => digits(Math.max(...exact.map(of)))
        const wrong = all.filter(({ passed }) => !passed)
        const ops = new Set(all.map(({ op }) => op)).size
        return [
          ...[found.results ? `${ops} ops in ${name}` : name, String(all.length)],
          ...[String(all.length - wrong.length), worst(({ value, error }) => value ?? error)],
          found.results ? worst(({ gradient }) => gradient ?? 0) : '-',
          [...new Set(wrong.map(({ op, problem }) => op ?? problem.name))].join(', ') || 'none',
        ]
      }),
  )

const products = (tasks) =>
  rows(
    ['problem', 'by', 'ms', 'GFLOP/s', 'of the peak'],
    tasks
      .flatMap(({ results }) => results[0]?.rows ?? [])
      .map(({ problem, by, ms, gflops, share }) => [
        ...[problem.name, by, spread(ms), digits(gflops), percent(share)],
      ]),
  )

const AXES = { ntxent: '2N', infonce: 'K', 'nce-maps': 'N' }

const losses = ({ name, results: [found] }) =>
  found ? `${name}:\n\n${lossTable(found.rows, { axis: AXES[name.split(' ')[0]] }, true)}\n` : ''

const augmentation = (tasks) =>
  rows(
    ['recipe', 'batch', 'by', 'ms a view', 'images/s', 'GB/s', 'of a copy'],
    tasks
      .flatMap(({ results }) => results[0]?.rows ?? [])
      .filter(({ ms }) => ms)
      .map(({ name, N, by, ms, imagesPerSecond, gbps, ofCopy }) => [
        ...[name, String(N), by, spread(ms), digits(imagesPerSecond), digits(gbps)],
        percent(ofCopy),
      ]),
  )

/** Steps of Kindred, then those of other libraries. */
function steps(tasks, device) {
  const all = tasks.flatMap(({ results }) => results)
  const [ours, theirs] = [
    all.filter(({ library }) => library === 'Kindred'),
    all.filter(({ library }) => library !== 'Kindred'),
  ]
  const columns = [
    ...['method', 'encoder', 'batch', 'precision', `${device?.software ? 'CPU ms' : 'ms'} a step`],
    ...['views/s', 'TFLOP/s', 'of multiply-adds', 'of matrices', 'GB moved', 'of a copy'],
    ...['model ms', 'model / measured', 'dispatches', 'MB at most', 'idle'],
  ]
  const own = ours.map(({ estimate, shares, ...step }) => [
    ...[step.method, encoder(step), String(step.batch), precisionOf(step), digits(step.ms)],
    ...[digits(step.viewsPerSecond), digits(estimate.flops / step.ms / 1e9), percent(shares.fma)],
    ...[percent(shares.matrices), digits(estimate.bytes / 1e9)],
    percent(estimate.bytes / step.ms / 1e6 / step.most.copy),
    ...[digits(estimate.ms), digits(estimate.ms / step.ms), String(step.dispatches)],
    ...[digits(step.peakBytes / 1e6), percent(step.idle?.share)],
  ])
  const beside = theirs.map(({ library, wallMs, viewsPerSecond, peakBytes }) => [
    ...[library, digits(wallMs), digits(viewsPerSecond), peakBytes ? digits(peakBytes / 1e6) : '-'],
  ])
  const peers = rows(['the supervised step by', 'ms a step', 'views/s', 'MB at most'], beside)
  return rows(columns, own) + (peers && `\n${peers}`)
}

const encoder = ({ method, model, width, size }) =>
  `${method === 'amdim' ? "AMDIM's" : model}, width ${width}, ${size} px`
const precisionOf = ({ precision, activations }) =>
  activations === 'f16' ? `${precision}, activations f16` : precision

/** The kernels that take at least a hundredth of a step, beside the model's time. */
function kernels({ name, results: [step] }) {
  if (!step?.kernels?.length) return ''
  const all = step.kernels.reduce((sum, { ms }) => sum + ms, 0)
  const large = step.kernels.filter(({ ms }) => ms > all / 100)
  const columns = [`kernels of ${name}`, 'dispatches', 'ms', 'model ms', 'model / measured']
  return rows(
    columns,
    large.map(({ name: kernel, count, ms, floor }) => [
      ...[kernel, String(count), digits(ms), digits(floor ?? NaN), digits((floor ?? NaN) / ms)],
    ]),
  )
}

/** Accuracy by epoch, and how many images a second the steps took until then. */
function training({ name, status, results }) {
  const notes = results.filter(({ event, knn }) => event === 'note' && knn !== undefined)
  const before = results.find(({ untrained }) => untrained !== undefined)
  if (!before) return ''
  const rateUntil = (step) =>
    results.findLast((one) => one.event === 'step' && one.step <= step && one.rate)?.rate
  const lines = [
    ['raw pixels', percent(before.pixels / 100), ''],
    ['untrained encoder', percent(before.untrained / 100), ''],
    ...notes.map(({ epoch, step, knn }) => [
      ...[`epoch ${epoch}`, percent(knn / 100), digits(rateUntil(step))],
    ]),
  ]
  const cut = status === 'done' ? '' : `, ${status}`
  return rows([`SimCLR on ${name}${cut}`, 'kNN top-1', 'images/s'], lines)
}

const missing = (tasks) =>
  tasks
    .filter(({ status }) => status && status !== 'done')
    .map(({ part, name, status, error }) => `- ${part}, ${name}: ${error ?? status}\n`)
    .join('')
