// The lint rule `kindred/reasons` refuses `e instanceof Error ? e.message : String(e)`, which
// `reasonOf` of kernels/reason-of.ts says once.

const reasons = {
  meta: { type: 'problem' },
  create: (context) => ({
    ConditionalExpression(node) {
      const { test, consequent, alternate } = node
      const isAsked = test.operator === 'instanceof' && test.right.name === 'Error'
      const isMessage =
        consequent.property?.name === 'message' && consequent.object.name === test.left?.name
      if (isAsked && isMessage && alternate.callee?.name === 'String')
        context.report({ node, message: 'call reasonOf of kernels/reason-of.ts' })
    },
  }),
}

export default reasons
