// Collects the pipelines of every op, loss and method in every form, on devices on paper.

import { CASES } from '../../bench/ops/cases.js'
import { methods } from '../../bench/step-methods.js'
import { paperDevice } from '../paper-device.js'
import * as kindred from '../../dist/node.js'

/** Kinds of device that get different kernels. */
export const kinds = ['device', 'gpu', 'matrices', 'amd', 'bare']

/** What may be computed on each. */
const forms = [
  ...formsOf(['device', 'gpu'], ['f32', 'f16'], ['f32', 'f16']),
  ...formsOf(['matrices', 'amd'], ['f16x3', 'f16'], ['f32', 'f16']),
  ...formsOf(['bare'], ['f32'], ['f32', 'f16']),
]

function formsOf(names, precisions, stores) {
  return names.flatMap((kind) =>
    precisions.flatMap((precision) =>
      stores.map((activations) => ({ kind, precision, activations })),
    ),
  )
}

/** A network whose channels are whole slices of a tile. */
const step = {
  ...{ model: 'resnet8', stem: 'cifar', width: 32, batch: 16, size: 32 },
  ...{ chunk: null, replay: true, stream: false, queue: 256, bank: 5000 },
}

/** The pipelines by text and constants: { name, code, constants, entries, forms }. `forms` are the
 *  forms in which they are used. */
export async function collect(wanted = kinds) {
  const found = new Map()
  for (const form of forms.filter(({ kind }) => wanted.includes(kind))) {
    const onPipeline = ({ code, entryPoint: name, constants, entries }) => {
      const key = JSON.stringify([code, constants])
      const own = found.get(key) ?? { name, code, constants, entries, forms: [] }
      if (!own.forms.includes(form)) own.forms.push(form)
      found.set(key, own)
    }
    await useAll(form, onPipeline)
  }
  return [...found.values()].map((own, id) => ({ id, ...own }))
}

async function useAll({ kind, precision, activations }, onPipeline) {
  const device = paperDevice(kind, () => {})
  const { createComputePipeline } = device
  device.createComputePipeline = (given) => {
    const made = createComputePipeline(given)
    onPipeline({ ...made, entries: given.layout.bindGroupLayouts[0].entries })
    return made
  }
  const gpu = new kindred.Gpu(device, { precision, activations })
  everyWay(gpu)
  for (const one of CASES) {
    const inputs = one.inputs.map((given, i) =>
      one.raw?.includes(i) ? given : gpu.tensor(given.values, given.shape),
    )
    const y = one.call(kindred, ...inputs)
    if (one.inputs.some(({ gradient }) => gradient))
      gpu.backward(y, gpu.tensor(new Float32Array(sizeOf(y.shape)), y.shape))
  }
  for (const build of Object.values(methods)) {
    const method = await build(gpu, step)
    method.step(await method.next?.())
  }
  gpu.destroy()
}

/** Lets a Gpu compute what has several ways in each. */
function everyWay({ run }) {
  run.race = (_name, ways, _guess, compute) => {
    for (let way = 1; way < ways; way++) compute(way)
    return compute(0)
  }
}

const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1)
