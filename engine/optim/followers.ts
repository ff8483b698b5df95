// Which variable follows which, by name.

import { type Variable, show } from '../../kernels/op.ts'
import { checkValue, rule, variable as isVariable } from '../../kernels/options.ts'
import type { Named } from '../named.ts'

/** A variable and the one that follows it. */
export interface Following {
  readonly leader: Variable
  readonly follower: Variable
}

const f32 = rule('an f32 variable', (v) => isVariable.fits(v) && (v as Variable).dtype === 'f32')

/** Returns the pairs in the order of the leaders. `alone` are the leaders that nothing follows, the
 *  last ones, under any names. If no name is the same, pairs by order where `byOrder` allows it.
 *  Throws Error unless all others pair and have the same shapes, and TypeError for what is no f32
 *  variable. */
export function followingOf(
  leaders: Named,
  followers: Named,
  alone: Named,
  byOrder: boolean,
): readonly Following[] {
  for (const [name, one] of [leaders, followers].flatMap((named) => Object.entries(named)))
    checkValue('MovingAverage', name, one, f32)
  const all = Object.entries(leaders)
  const led = all.slice(0, followedOf(all, alone))
  const count = Object.keys(followers).length
  if (count !== led.length)
    throw new Error(
      `MovingAverage: ${led.length} followers are needed, one for each parameter${led.length < all.length ? ' but those alone' : ''}, got ${count}`,
    )
  checkApart(all, followers)
  const found = paired(
    led.map(([name]) => name),
    followers,
    byOrder,
  )
  return led.map(([name, leader], i) => {
    const follower = found[i] ?? leader // as many as the leaders
    if (follower === leader) throw new Error(`MovingAverage: ${name} cannot follow itself`)
    if (follower.shape.join() !== leader.shape.join())
      throw new Error(
        `MovingAverage: what follows ${name} must be ${show(leader.shape)}, got ${show(follower.shape)}`,
      )
    return { leader, follower }
  })
}

type Entries = readonly (readonly [name: string, variable: Variable])[]

/** Returns how many leaders are followed: all before the first of `alone`. Throws Error if one
 *  comes behind it, or one of `alone` is no leader. */
function followedOf(leaders: Entries, alone: Named): number {
  const left = new Set(Object.values(alone))
  const first = leaders.findIndex(([, leader]) => left.has(leader))
  const behind = leaders.slice(first + 1).find(([, leader]) => first >= 0 && !left.has(leader))
  if (behind)
    throw new Error(
      `MovingAverage: parameters that nothing follows must be the last, and ${leaders[first]?.[0]} comes before ${behind[0]}, which is followed; give the optimizer the followed ones first`,
    )
  const all = new Set(leaders.map(([, leader]) => leader))
  const stray = Object.entries(alone).find(([, variable]) => !all.has(variable))
  if (stray)
    throw new Error(
      `MovingAverage: alone.${stray[0]} must be one of the parameters that are followed; leave it out`,
    )
  return first < 0 ? leaders.length : first
}

/** Throws Error for a follower of two, and for one that is a leader too: an update would write what
 *  it still has to read. */
function checkApart(leaders: Entries, followers: Named) {
  const names = new Map(leaders.map(([name, leader]) => [leader, name]))
  const seen = new Map<Variable, string>()
  for (const [name, follower] of Object.entries(followers)) {
    const [twin, leader] = [seen.get(follower), names.get(follower)]
    if (twin !== undefined)
      throw new Error(
        `MovingAverage: followers ${twin} and ${name} are one variable; give each a variable of its own`,
      )
    if (leader !== undefined && leader !== name)
      throw new Error(
        `MovingAverage: follower ${name} is followed itself, as ${leader}; give a variable of its own, such as a copy`,
      )
    seen.set(follower, name)
  }
}

/** Returns the followers in the order of the names that they follow. Throws Error if one of these
 *  has no follower. */
function paired(
  leaders: readonly string[],
  followers: Named,
  byOrder: boolean,
): readonly Variable[] {
  const names = stripped(leaders)
  const own = stripped(Object.keys(followers))
  const variables = Object.values(followers)
  if (byOrder && !own.some((name) => names.includes(name))) return variables
  return names.map((name, i) => {
    const variable = variables[own.indexOf(name)]
    if (variable && own.includes(name)) return variable
    const odd = Object.keys(followers).find((_, j) => !names.includes(own[j] ?? ''))
    const remedy = byOrder ? ', or give all of them names of their own to pair by order' : ''
    throw new Error(
      `MovingAverage: followers pair by name, and none is named ${leaders[i]}; rename ${odd}${remedy}`,
    )
  })
}

/** Removes the prefix that all names share: 'online.conv1.weight' becomes 'conv1.weight' if all
 *  begin with 'online.'. */
function stripped(names: readonly string[]): readonly string[] {
  const [first = ''] = names
  const prefix = first.slice(0, first.indexOf('.') + 1)
  const isCommon =
    prefix !== '' && names.length > 1 && names.every((name) => name.startsWith(prefix))
  return isCommon ? names.map((name) => name.slice(prefix.length)) : names
}
