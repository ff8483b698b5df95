// The lint rule `kindred/throws` refuses `assert.throws` without a pattern or a function. With a
// text, uvu takes it for the message of a failure and accepts any error.

const throws = {
  meta: { type: 'problem' },
  create: (context) => ({
    CallExpression(node) {
      const { callee, arguments: given } = node
      const called = `${callee.object?.name}.${callee.property?.name}`
      if (called !== 'assert.throws' && called !== 'assert.not.throws') return
      const expected = given[1]
      if (expected && !(expected.type === 'TemplateLiteral' || typeof expected.value === 'string'))
        return
      context.report({
        node,
        message: 'expect the error by a pattern or a function; a text matches any',
      })
    },
  }),
}

export default throws
