// Tests the errors of optimizers and schedules for wrong arguments from plain JavaScript.

import * as assert from 'uvu/assert'
import { Gradients } from '../../engine/optim/gradients.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { MovingAverage } from '../../engine/optim/moving-average.ts'
import { Adam, AdamW, Lars, Sgd } from '../../engine/optim/optimizer.ts'
import { constant, cosine, cosineRamp, multiStep, warmup } from '../../engine/optim/schedule.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { type Misuse, call, make, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of optimizers')

test('optimizers say what was wrong with a call', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const optimizer = new Sgd({ w })
  const update = optimizer.step.bind(optimizer)
  const gradients = new Gradients([[w, gpu.tensor([1, 1], [2])]])
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
      `AdamW: there is no option 'weight_decay'; did you mean 'weightDecay'? Its options are betas, eps, weightDecay, clip, treat`,
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
      'Optimizer.step: lr must be a finite number, or a function of none, () => number, got undefined',
    ],
    [
      'a schedule for a rate',
      () => call(update, gradients, cosine(0.1, 10)),
      'Optimizer.step: lr must be a finite number, or a function of none, () => number, got a function',
    ],
    [
      'no gradients',
      () => call(update, undefined, 0.1),
      'Optimizer.step: gradients must be the Gradients that gpu.backward returns, or new Gradients(pairs), got undefined',
    ],
    [
      'a map of gradients',
      () => call(update, new Map(gradients.entries()), 0.1),
      'Optimizer.step: gradients must be the Gradients that gpu.backward returns, or new Gradients(pairs), got a Map',
    ],
    [
      'gradients without their tensors',
      () => make(Gradients, [w]),
      'Gradients: a pair must be [tensor, gradient], got a Variable f32 [2]',
    ],
    [
      'a map of gradients that others are like',
      () => make(Gradients, [], new Map()),
      'Gradients: like must be Gradients, got a Map',
    ],
    [
      'one pair for pairs',
      () => make(Gradients, w),
      'Gradients: pairs must be an array or a map of tensors and their gradients, got a Variable f32 [2]',
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
      () => make(MovingAverage, 5, { w }),
      'MovingAverage: what is followed must be an optimizer such as Sgd, or variables by name, got 5',
    ],
    [
      'a decay that is no number',
      () => make(AdamW, { w }, { weightDecay: '0.1' }),
      "AdamW: weightDecay must be a number from 0 to 3.4e38, or a function of the step, t => number, got '0.1'",
    ],
    [
      'a schedule for one parameter',
      () => make(AdamW, { w }, { treat: () => ({ weightDecay: cosine(0.1, 10) }) }),
      "AdamW: treat('w'): weightDecay must be a number from 0 to 3.4e38, got a function",
    ],
    [
      'a model to follow',
      () => make(MovingAverage, { w: { forward: 1 } }, { w }),
      'MovingAverage: w must be an f32 variable, got an object with forward',
    ],
    [
      'no momentum',
      () =>
        call(() =>
          Reflect.apply(
            MovingAverage.prototype.update,
            new MovingAverage(new Sgd({ a: gpu.variable([1], [1]) }), {
              a: gpu.variable([1], [1]),
            }),
            [],
          ),
        ),
      'MovingAverage.update: m must be a number from 0 to 1, or a function of none, () => number, got undefined',
    ],
  ])
})

test('rates, decays and momenta that are not finite are refused, by number, treatment or function', async ({
  gpu,
}) => {
  const w = gpu.variable([1, 2], [2])
  const rate = (lr: number | (() => number), decay: number | (() => number) = 0) =>
    new Sgd({ w }, { weightDecay: decay }).step(gpu.backward(sum(w)), lr)
  const treat = (treatment: object) => new AdamW({ w }, { treat: () => treatment })
  const gradients = new Gradients([])
  const factor =
    'must be a factor of the learning rate from 1.2e-38 to 3.4e38 (frozen: true stops a parameter)'
  const follow = (m: number | (() => number)) =>
    new MovingAverage({ w }, { w: gpu.variable([0, 0], [2]) }).update(m)
  await refusesAll([
    [
      'a rate',
      () => rate(Infinity),
      'Optimizer.step: lr must be a finite number, or a function of none, () => number, got Infinity',
    ],
    [
      'a rate of a step',
      () => rate(() => NaN),
      'Optimizer.step: lr must be a finite number, got NaN',
    ],
    [
      'a decay of a step',
      () => rate(0.1, () => Infinity),
      'Sgd: weightDecay must be a number from 0 to 3.4e38, got Infinity',
    ],
    [
      'a decay below 0',
      () => rate(0.1, () => -1),
      'Sgd: weightDecay must be a number from 0 to 3.4e38, got -1',
    ],
    ['a factor', () => treat({ lr: Infinity }), `AdamW: treat('w'): lr ${factor}, got Infinity`],
    ...[0, 1e-50, 1e39].map((lr): Misuse => [
      `a factor ${lr}`,
      () => treat({ lr }),
      `AdamW: treat('w'): lr ${factor}, got ${lr}`,
    ]),
    [
      'the gradient of a name',
      () => call(gradients.of.bind(gradients), 'w'),
      "Gradients.of: tensor must be a tensor, got 'w'",
    ],
    [
      'a decay of one',
      () => treat({ weightDecay: NaN }),
      "AdamW: treat('w'): weightDecay must be a number from 0 to 3.4e38, got NaN",
    ],
    [
      'a decay beyond f32',
      () => treat({ weightDecay: 1e39 }),
      "AdamW: treat('w'): weightDecay must be a number from 0 to 3.4e38, got 1e+39",
    ],
    [
      'eps',
      () => new Adam({ w }, { eps: Infinity }),
      'Adam: eps must be a number from 0 to 3.4e38, got Infinity',
    ],
    [
      'a momentum',
      () => follow(2),
      'MovingAverage.update: m must be a number from 0 to 1, or a function of none, () => number, got 2',
    ],
    [
      'a momentum of a step',
      () => follow(() => -0.5),
      'MovingAverage.update: m must be a number from 0 to 1, got -0.5',
    ],
    ['a schedule', () => constant(Infinity), 'constant: lr must be a finite number, got Infinity'],
  ])
  assert.equal([...(await gpu.read(w))], [1, 2])
})

test('schedules say what was wrong with a call', () =>
  refusesAll([
    [
      'no length',
      () => call(cosine, 0.1),
      'cosine: total must be a finite number above 0, got undefined',
    ],
    ['a word', () => call(constant, 'fast'), `constant: lr must be a finite number, got 'fast'`],
    [
      'no milestones',
      () => call(multiStep, 0.1),
      'multiStep: milestones must be an array of finite numbers in rising order, got undefined',
    ],
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
    [
      'no end',
      () => call(cosineRamp, 0.99),
      'cosineRamp: total must be a finite number above 0, got undefined',
    ],
    ...[-5, 0].map((total): Misuse => [
      `${total} steps`,
      () => cosine(1, total),
      `cosine: total must be a finite number above 0, got ${total}`,
    ]),
    [
      'a climb back in time',
      () => warmup(-1, 0.1),
      'warmup: steps must be a number from 0 to 3.4e38, got -1',
    ],
    [
      'milestones out of order',
      () => multiStep(0.1, [60, 30]),
      'multiStep: milestones must be an array of finite numbers in rising order, got an array of 2',
    ],
    [
      'a momentum above 1',
      () => cosineRamp(2, 100),
      'cosineRamp: m must be a number from 0 to 1, got 2',
    ],
  ]))

test('a number is a schedule after a warm-up', () => {
  assert.equal([0, 1, 2, 3].map(warmup(2, 0.1)), [0, 0.05, 0.1, 0.1])
})

test.run()
