import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Schedule,
  constant,
  cosine,
  multiStep,
  warmup,
} from '../../../engine/optim/schedule.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'

/** The schedule that a golden case describes. */
function scheduleOf({ config, name }: Golden): Schedule {
  const n = (key: string) => Number(config[key])
  if (config['schedule'] === 'multistep')
    return multiStep(n('lr'), config['milestones'] as number[], n('gamma'))
  if (config['schedule'] === 'linear_warmup')
    return warmup(n('warmup_steps'), constant(n('lr')), { first: 'nonzero' })
  if (config['schedule'] === 'warmup_cosine') {
    const lr = (n('base_lr') * n('batch_size')) / 256
    return warmup(n('warmup_steps'), cosine(lr, n('total_steps') - n('warmup_steps')))
  }
  if (name === 'sched_torch_cosine') return cosine(n('lr'), n('T_max'), n('eta_min'))
  return cosine(n('lr'), n('epochs'))
}

for (const name of goldenNames('sched_')) {
  test(`${name} gives the same learning rates`, () => {
    const golden = new Golden(name)
    const schedule = scheduleOf(golden)
    golden.expect('out.lr', [...golden.values('in.step')].map(schedule))
    golden.done()
  })
}

test('cosine stays at its minimum after the end', () => assert.is(cosine(1, 10, 0.25)(15), 0.25))

test.run()
