// Marks what a built module computes when it is loaded as free of effects, so that a bundler drops
// what a page does not use of a module, not only modules: kernels above all, whose tagged templates
// no bundler drops by itself.

import { parse } from 'acorn'
import { base, simple } from 'acorn-walk'

const skip = () => {}
const outsideFunctions = { ...base, Function: skip, Class: skip }

/** Whether a bundler must take an expression for one with effects: it calls, or it spreads, which
 *  may call a getter. */
function mayAct(expression) {
  let found = false
  const find = () => (found = true)
  const kinds = ['CallExpression', 'NewExpression', 'TaggedTemplateExpression', 'SpreadElement']
  simple(expression, Object.fromEntries(kinds.map((kind) => [kind, find])), outsideFunctions)
  return found
}

/** JavaScript that computes its constants in functions called on the spot and marked pure, a form
 *  that every bundler knows and minifiers undo. */
export function markPure(code) {
  let [result, at] = ['', 0]
  for (const statement of parse(code, { ecmaVersion: 'latest', sourceType: 'module' }).body) {
    const { type, declarations } = statement.declaration ?? statement
    for (const { init } of type === 'VariableDeclaration' ? declarations : []) {
      if (!init || !mayAct(init)) continue
      const value = code.slice(init.start, init.end)
      result += `${code.slice(at, init.start)}/* @__PURE__ */ (() => (${value}))()`
      at = init.end
    }
  }
  return result + code.slice(at)
}
