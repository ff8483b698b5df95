// The lint rule `kindred/sizes`: a file has at most 250 lines, and a function at most 40. WGSL, in
// templates tagged `wgsl` or `kernel`, does not count in a function: a kernel is read as a whole.

import { relative, sep } from 'node:path'
import { layers, root } from './imports.js'

const FILE = 250
const FUNCTION = 40

const folders = [...Object.keys(layers), 'cli', 'examples/photos'].filter(
  (name) => !/^bench$|\./.test(name),
)

/** The number of line ends from `start` to `end`. */
const lineEnds = (text, [start, end]) => text.slice(start, end).split('\n').length - 1

const sizes = {
  meta: { type: 'suggestion' },
  create(context) {
    const path = relative(root, context.filename).split(sep).join('/')
    if (!folders.some((folder) => path.startsWith(`${folder}/`))) return {}
    const { text } = context.sourceCode
    const open = [] // lines of WGSL in each function around this node, the innermost last
    const enter = () => open.push(0)
    const leave = (node) => {
      const wgsl = open.pop()
      if (open.length > 0) open.push(open.pop() + wgsl)
      const lines = lineEnds(text, node.range) + 1 - wgsl
      if (lines > FUNCTION) {
        const message = `a function has at most ${FUNCTION} lines besides WGSL, this one has ${lines}: divide it`
        context.report({ node, message })
      }
    }
    return {
      Program(node) {
        const lines = text.replace(/\n$/, '').split('\n').length
        if (lines <= FILE) return
        const message = `a file has at most ${FILE} lines, ${path} has ${lines}: divide it along an idea`
        context.report({ node, message })
      },
      FunctionDeclaration: enter,
      FunctionExpression: enter,
      ArrowFunctionExpression: enter,
      'FunctionDeclaration:exit': leave,
      'FunctionExpression:exit': leave,
      'ArrowFunctionExpression:exit': leave,
      TaggedTemplateExpression({ tag, range }) {
        if (open.length > 0 && /^(?:wgsl|kernel)$/.test(tag.name))
          open.push(open.pop() + lineEnds(text, range))
      },
    }
  },
}

export default sizes
