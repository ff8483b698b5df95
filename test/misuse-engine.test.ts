// What plain JavaScript passes to a Gpu, optimizers, schedules and checkpoints by mistake, and what it is told.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { restore, snapshot } from '../engine/checkpoint.ts'
import { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/loss-scaler.ts'
import { MovingAverage } from '../engine/moving-average.ts'
import { openGpu } from '../engine/node.ts'
import { Adam, AdamW, Lars, Sgd } from '../engine/optimizer.ts'
import { constant, cosine, rising, step, warmup } from '../engine/schedule.ts'
import { KeyQueue } from '../models/key-queue.ts'
import { MemoryBank } from '../models/memory-bank.ts'
import { gpuSuite } from './gpu.ts'
import { call, make, refusesAll } from './misuse.ts'

const test = gpuSuite('misuse of the engine')

test('a Gpu says what was wrong with a call', async ({ gpu }) => {
  await refusesAll([
    [
      'an option misspelt',
      () => call(openGpu, { autoTune: true }),
      `openGpu: there is no option 'autoTune'; did you mean 'autotune'? Its options are precision, activations, powerPreference, adapter, toggles, autotune`,
    ],
    [
      'a precision that is none',
      () => call(openGpu, { precision: 'fp16' }),
      `openGpu: precision must be 'f32', 'f16x3' or 'f16', got 'fp16'; did you mean 'f16'?`,
    ],
    [
      'a name for options',
      () => call(openGpu, 'llvmpipe'),
      `openGpu: options must be an object with precision, activations, powerPreference, adapter, toggles, autotune, got 'llvmpipe'`,
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
      `Gpu: there is no option 'adapter'; its options are precision, activations, ownsDevice, kernels, onWait`,
    ],
    ['a step that is none', () => call(gpu.step.bind(gpu), 5), 'Gpu.step: body must be a function, got 5'],
    [
      'no function to capture',
      () => call(gpu.capture.bind(gpu)),
      'Gpu.capture: body must be a function, got undefined',
    ],
    [
      'an option of capture',
      () => call(gpu.capture.bind(gpu), () => {}, { replays: false }),
      `Gpu.capture: there is no option 'replays'; did you mean 'replay'? Its options are replay`,
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

test('optimizers say what was wrong with a call', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const optimizer = new Sgd({ w })
  const update = optimizer.step.bind(optimizer)
  const gradients = new Map([[w, gpu.tensor([1, 1], [2])]])
  await refusesAll([
    [
      'the rate as an option',
      () => make(Sgd, { w }, { lr: 0.1 }),
      `Sgd: the learning rate is no option of the optimizer, got 'lr'; give it to each step, optimizer.step(gradients, lr)`,
    ],
    [
      'the rate as an option of Adam',
      () => make(Adam, { w }, { learningRate: 0.1 }),
      `Adam: the learning rate is no option of the optimizer, got 'learningRate'; give it to each step, optimizer.step(gradients, lr)`,
    ],
    [
      "torch's name",
      () => make(AdamW, { w }, { weight_decay: 0.1 }),
      `AdamW: there is no option 'weight_decay'; did you mean 'weightDecay'? Its options are betas, eps, weightDecay`,
    ],
    [
      'one beta',
      () => make(Adam, { w }, { betas: 0.9 }),
      'Adam: betas must be two numbers from 0 to 1, [beta1, beta2], got 0.9',
    ],
    [
      'a string for a number',
      () => make(Sgd, { w }, { momentum: '0.9' }),
      `Sgd: momentum must be a number from 0 to 1, got '0.9'`,
    ],
    [
      'a list of names',
      () => make(Lars, { w }, { exclude: ['w'] }),
      'Lars: exclude must be a function, got an array of 1',
    ],
    [
      'a list of variables',
      () => make(Sgd, [w]),
      'optimizer: parameters must be variables by name, such as model.parameters, got an array of 1',
    ],
    [
      'a variable by itself',
      () => make(Sgd, w),
      'optimizer: parameters must be variables by name, such as model.parameters, got a Variable f32 [2]',
    ],
    [
      'a tensor for a variable',
      () => make(Sgd, { w: gpu.tensor([1], [1]) }),
      'optimizer: parameter w must be a variable, got a Tensor f32 [1]; give parameters by name, such as model.parameters or parametersOf({ encoder, head })',
    ],
    [
      'nothing to update',
      () => make(Sgd),
      'optimizer: parameters must be variables by name, such as model.parameters, got undefined',
    ],
    [
      'no rate',
      () => call(update, gradients),
      'Optimizer.step: lr must be a number or a function of none, () => number, got undefined',
    ],
    [
      'a schedule for a rate',
      () => call(update, gradients, cosine(0.1, 10)),
      'Optimizer.step: lr must be a number or a function of none, () => number, got a function',
    ],
    [
      'no gradients',
      () => call(update, undefined, 0.1),
      'Optimizer.step: gradients must be the map of gradients that gpu.backward returns, got undefined',
    ],
    [
      'options for a scaler',
      () => call(update, gradients, 0.1, { scale: 2 }),
      'Optimizer.step: scaler must be a LossScaler, got an object with scale',
    ],
    [
      'an option of a scaler',
      () => make(LossScaler, gpu, { init_scale: 1024 }),
      `LossScaler: there is no option 'init_scale'; its options are scale, interval`,
    ],
    [
      'followers of nothing',
      () => make(MovingAverage, { w }, { w }),
      'MovingAverage: optimizer must be an optimizer such as Sgd, got an object with w',
    ],
    [
      'no momentum',
      () =>
        call(() =>
          Reflect.apply(
            MovingAverage.prototype.update,
            new MovingAverage(new Sgd({ a: gpu.variable([1], [1]) }), { a: gpu.variable([1], [1]) }),
            [],
          ),
        ),
      'MovingAverage.update: m must be a number or a function of none, () => number, got undefined',
    ],
  ])
})

test('schedules say what was wrong with a call', () =>
  refusesAll([
    ['no length', () => call(cosine, 0.1), 'cosine: total must be a number, got undefined'],
    ['a word', () => call(constant, 'fast'), `constant: lr must be a number, got 'fast'`],
    ['no milestones', () => call(step, 0.1), 'step: milestones must be an array of numbers, got undefined'],
    [
      'nothing after',
      () => call(warmup, 5),
      'warmup: after must be a number or a function of the step, t => number, got undefined',
    ],
    [
      'a start that is none',
      () => call(warmup, 5, 0.1, { first: 'one' }),
      `warmup: first must be 'zero' or 'nonzero', got 'one'`,
    ],
    ['no end', () => call(rising, 0.99), 'rising: total must be a number, got undefined'],
  ]))

test('a number is a schedule after a warm-up', () => {
  assert.equal([0, 1, 2, 3].map(warmup(2, 0.1)), [0, 0.05, 0.1, 0.1])
})

test('checkpoints say what was wrong with a call', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  await refusesAll([
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
      'another number',
      () => restore(gpu, new Adam(more).state, saved),
      'checkpoint: exp_avg is [128], the model needs [192]; it is of another model or width',
    ],
  ])
})

test('what is printed says what it is, in a line', async ({ gpu }) => {
  const w = gpu.variable(new Float32Array(6), [2, 3])
  const optimizer = new Adam({ w })
  const printed: [object: object, text: string][] = [
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
