// Tests the errors of a Gpu and of checkpoints for wrong arguments from plain JavaScript.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { restore, snapshot } from '../../engine/checkpoint.ts'
import { Gpu } from '../../engine/gpu.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { MovingAverage } from '../../engine/optim/moving-average.ts'
import { openGpu } from '../../engine/node.ts'
import { save } from '../../engine/node-files.ts'
import { Adam, AdamW, Sgd } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { simclr } from '../../methods/simclr.ts'
import { lossScale } from '../../models/loss-scale.ts'
import { mocoHead } from '../../models/moco-heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { resnet8 } from '../../models/resnet.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, make, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of the engine')

test('a Gpu says what was wrong with a call', async ({ gpu }) => {
  const step = gpu.capture(() => {})
  await refusesAll([
    [
      'an array for an input',
      () => call(step.run.bind(step), [1, 2]),
      'captured step: input 0 must be a tensor, { values, shape }, a string, number or boolean, got an array of 2',
    ],
    [
      'a function for an input',
      () => call(step.run.bind(step), () => 1),
      'captured step: input 0 must be a tensor, { values, shape }, a string, number or boolean, got a function',
    ],
    [
      'no plans',
      () => call(gpu.capture.bind(gpu), () => {}, { plans: 0 }),
      'Gpu.capture: plans must be a whole number from 1 on, got 0',
    ],
    [
      'a tensor for pairs',
      () => call(gpu.pullback.bind(gpu), gpu.tensor([1], [])),
      'Gpu.pullback: weighted must be an array of pairs, [output, cotangent] each, got a Tensor f32 []',
    ],
    [
      'a count for items',
      () => call(gpu.fold.bind(gpu), 3, [], () => []),
      'Gpu.fold: items must be an array, got 3',
    ],
    [
      'an option misspelt',
      () => call(openGpu, { autoTune: true }),
      `openGpu: there is no option 'autoTune'; did you mean 'autotune'? Its options are precision, activations, budget, powerPreference, adapter, toggles, robustness, autotune`,
    ],
    [
      'a precision that is none',
      () => call(openGpu, { precision: 'fp16' }),
      `openGpu: precision must be 'f32', 'f16x3' or 'f16', got 'fp16'; did you mean 'f16'?`,
    ],
    [
      'a name for options',
      () => call(openGpu, 'llvmpipe'),
      `openGpu: options must be an object with precision, activations, budget, powerPreference, adapter, toggles, robustness, autotune, got 'llvmpipe'`,
    ],
    [
      'a toggle by itself',
      () => call(openGpu, { toggles: 'skip_validation' }),
      `openGpu: toggles must be an array of strings, got 'skip_validation'`,
    ],
    ['no device', () => make(Gpu), 'Gpu: device must be a GPUDevice, got undefined'],
    [
      'an option of another',
      () => make(Gpu, gpu.device, { adapter: 'NVIDIA' }),
      `Gpu: there is no option 'adapter'; its options are precision, activations, budget, ownsDevice, kernels, onWait`,
    ],
    [
      'a step that is none',
      () => call(gpu.step.bind(gpu), 5),
      'Gpu.step: body must be a function, got 5',
    ],
    [
      'no function to capture',
      () => call(gpu.capture.bind(gpu)),
      'Gpu.capture: body must be a function, got undefined',
    ],
    [
      'an option of capture',
      () => call(gpu.capture.bind(gpu), () => {}, { replays: false }),
      `Gpu.capture: there is no option 'replays'; did you mean 'replay'? Its options are replay, plans`,
    ],
    [
      'nothing without gradient',
      () => call(gpu.noGrad.bind(gpu)),
      'Gpu.noGrad: body must be a function, got undefined',
    ],
    [
      'a loss that was read',
      () => call(gpu.backward.bind(gpu), 2.5),
      'Gpu.backward: output must be a tensor, got 2.5; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'an array to read',
      () => call(gpu.read.bind(gpu), [1, 2]),
      'Gpu.read: tensor must be a tensor, got an array of 2; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'a number to read again',
      () => call(gpu.item.bind(gpu), 2.5),
      'Gpu.item: tensor must be a tensor, got 2.5; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'a name to free',
      () => call(gpu.free.bind(gpu), 'model'),
      `Gpu.free: argument 0 holds no tensors, got 'model'; give variables, models or optimizers`,
    ],
    [
      'a tensor to write',
      () => call(gpu.write.bind(gpu), gpu.tensor([1], [1]), [2]),
      'Gpu.write: variable must be a variable, got a Tensor f32 [1]',
    ],
    [
      'an action that is none',
      () => call(gpu.everyStep.bind(gpu), 1),
      'Gpu.everyStep: action must be a function, got 1',
    ],
  ])
})

test('checkpoints say what was wrong with a call', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  await refusesAll([
    [
      'an object to save',
      () => call(save, 'nowhere.safetensors', { w }),
      'save: tensors must be a map of tensors, as saveModel returns, got an object with w',
    ],
    [
      'a file as it is',
      () => call(restore, gpu, { w }, { tensors: new Map() }),
      'restore: saved must be a map of saved tensors, the `tensors` of what load returns, got an object with tensors',
    ],
  ])
})

test('state is restored into the parameters that it was saved of', async ({ gpu }) => {
  const two = () => ({ a: gpu.variable([1, 2], [2]), b: gpu.variable([3, 4], [2]) })
  const { a, b } = two()
  const saved = await snapshot(gpu, new Adam({ a, b }).state)
  const [same, turned, more] = [new Adam(two()), two(), { ...two(), c: gpu.variable([5], [1]) }]
  restore(gpu, same.state, saved)
  restore(gpu, same.state, new Map([...saved].filter(([name]) => !name.endsWith('.layout')))) // as it was saved before
  const other = new Adam({ b: turned.b, a: turned.a })
  await refusesAll([
    [
      'another order',
      () => restore(gpu, other.state, saved),
      'checkpoint: exp_avg is of parameters in another order, a [2] where the optimizer has b [2]; make the optimizer of the same parameters in the order that they were saved in',
    ],
    [
      'a variable that is missing, of a file',
      () => restore(gpu, two(), saved, 'state.safetensors'),
      'state.safetensors: a is missing; it is of another model',
    ],
    [
      'another number',
      () => restore(gpu, new Adam(more).state, saved),
      'checkpoint: exp_avg is [128], the model needs [192]; it is of another model or width',
    ],
  ])
})

test('what is printed says what it is, in a line', async ({ gpu }) => {
  const w = gpu.variable(new Float32Array(6), [2, 3])
  const optimizer = new Adam({ w })
  const [encoder, head] = [resnet8(gpu, { width: 1 }), mocoHead(gpu, { features: 4, dim: 2 })]
  const learner = simclr(gpu, {
    ...{ encoder, head, optimizer: new Sgd(parametersOf({ encoder, head })) },
    ...{ schedule: constant(0.1), views: cifarRecipe(8), temperature: 1, batchNorm: 'joint' },
  })
  const printed: [object: { toString(): string }, text: string][] = [
    [gpu.tensor([1, 2, 3, 4, 5, 6], [2, 3]), 'Tensor f32 [2, 3]'],
    [gpu.tensor(new Int32Array(1), []), 'Tensor i32 []'],
    [optimizer, 'Adam (1 parameters, 6 numbers, t = 0)'],
    [w, 'Variable f32 [2, 3]'],
    [new AdamW({ v: gpu.variable([1], [1]) }), 'AdamW (1 parameters, 1 numbers, t = 0)'],
    [new LossScaler(gpu), 'LossScaler (interval 2000)'],
    [
      new MovingAverage(optimizer, { w: gpu.variable(new Float32Array(6), [2, 3]) }),
      'MovingAverage (1 parameters)',
    ],
    [new KeyQueue(gpu, { K: 4, C: 2 }), 'KeyQueue (4 x 2, pointer 0)'],
    [new MemoryBank(gpu, { n: 4, C: 2 }), 'MemoryBank (4 x 2)'],
    [gpu.capture(() => {}), 'Captured (0 replays)'],
    [encoder, 'resnet8 (27 parameters, 367 numbers, 4 features)'],
    [head, 'mocoHead (2 parameters, 10 numbers, 2 features)'],
    [lossScale(gpu), 'lossScale (2 parameters, 2 numbers, 1 features)'],
    [learner, 'simclr (step 0, 0 replays)'],
  ]
  for (const [object, text] of printed) {
    assert.is(inspect(object), text)
    assert.is(String(object), text)
  }
  assert.match(inspect(gpu), /^Gpu \(.+, f32\)$/)
  const captured = gpu.capture(() => gpu.run.view(w, [6]))
  assert.is(inspect({ x: captured.run() }), '{ x: Tensor f32 [6] }')
})

test.run()
