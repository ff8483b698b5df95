// How an optimizer treats each of its parameters, where they differ: PyTorch's param_groups.

import type { Variable } from '../../kernels/op.ts'
import {
  type Rules,
  checkOptions,
  checkValue,
  flag,
  notNegative,
  rule,
} from '../../kernels/options.ts'
import type { Schedule } from './schedule.ts'

/** What an optimizer does differently for one parameter. */
export interface Treatment {
  /** The weight decay, in place of the optimizer's. */
  readonly weightDecay?: number
  /** A factor of the learning rate, above 0; 1 by default. */
  readonly lr?: number
  /** True leaves the parameter unchanged to the bit; methods compute no gradient of it. */
  readonly frozen?: boolean
}

/** What LARS does differently for one parameter. */
export interface LarsTreatment extends Treatment {
  /** Whether the trust ratio scales its step. */
  readonly adapted?: boolean
}

/** Returns the treatment of a parameter; undefined or {} for the optimizer's own settings. Called
 *  once for each, when the optimizer is made. */
export type Treat<T extends Treatment = Treatment> = (
  name: string,
  variable: Variable,
) => T | undefined

/** The settings of an optimizer for one parameter. */
export interface Settings extends Required<Omit<LarsTreatment, 'weightDecay'>> {
  /** Null where it follows the optimizer's schedule. */
  readonly weightDecay: number | null
}

/** The settings of a parameter that is not treated differently. */
export interface Usual {
  readonly weightDecay: number | Schedule
  readonly adapted: boolean
}

export const treatmentRules: Rules<Treatment> = {
  weightDecay: notNegative,
  lr: rule(
    'a factor of the learning rate from 1.2e-38 to 3.4e38 (frozen: true stops a parameter)',
    (v) => Number.isFinite(Math.fround(Number(v))) && typeof v === 'number' && v >= 2 ** -126,
  ),
  frozen: flag,
}
export const larsTreatmentRules: Rules<LarsTreatment> = { ...treatmentRules, adapted: flag }

/** Makes the function that returns a parameter's settings: those of `usual`, except where `treat`
 *  says otherwise. It throws TypeError, in the name of `owner`, for what is no treatment. */
export const settingsBy =
  <T extends LarsTreatment>(
    owner: string,
    usual: (name: string, variable: Variable) => Usual,
    treat: Treat<T> | undefined,
    rules: Rules<T>,
  ) =>
  (name: string, variable: Variable): Settings => {
    const of = usual(name, variable)
    const given = checkValue(owner, `what treat returns for ${name}`, treat?.(name, variable), {
      words: `an object with ${Object.keys(rules).join(', ')}`,
      fits: (v) => v !== null && !(v instanceof Promise),
    })
    const treatment = checkOptions<LarsTreatment>(`${owner}: treat('${name}')`, given, rules)
    const decay = typeof of.weightDecay === 'number' ? of.weightDecay : null
    const { weightDecay = decay, lr = 1, frozen = false, adapted = of.adapted } = treatment
    return { weightDecay, lr, frozen, adapted }
  }
