// uvu's assert.throws takes any error when its second argument is missing or a text (the message of
// a failure): tests expect an error by a pattern or a function.

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
