// The sum of two to four tensors of one shape in one dispatch, where a chain of `add` takes one
// each. AMDIM adds up its losses by it.

import { type TensorList, ShapeError, flatIndex, kernel, op, show, sizeOf } from '../op.ts'
import { perElement } from './pointwise.ts'
import { byWidth, widthOf } from './widths.ts'

const addKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32, terms: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       a:   array<F>;
  @group(0) @binding(1) var<storage, read>       b:   array<F>;
  @group(0) @binding(2) var<storage, read>       c:   array<F>; // added where terms > 2
  @group(0) @binding(3) var<storage, read>       d:   array<F>; // added where terms > 3
  @group(0) @binding(4) var<storage, read_write> out: array<F>;
  @group(0) @binding(5) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn addAll(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    var sum = a[i] + b[i];
    if (p.terms > 2u) { sum += c[i]; }
    if (p.terms > 3u) { sum += d[i]; }
    out[i] = sum;
  }
`,
)

/** The sum of two to four tensors of one shape, added in order. Throws ShapeError. */
export const addAll = op<TensorList>({
  name: 'addAll',
  shape(_, first, ...others) {
    if (others.length < 1 || others.length > 3 || others.some((x) => x.join() !== first.join()))
      throw new ShapeError(
        `addAll: takes two to four tensors of one shape, got ${[first, ...others].map(show).join(', ')}`,
      )
    return first
  },
  forward(run, _, a, ...others) {
    const [b = a, c = a, d = a] = others
    const { shape } = a
    const count = sizeOf(shape)
    const params = { terms: 1 + others.length }
    const width = widthOf(count)
    return [perElement(run, addKernel(count), shape, { reads: [a, b, c, d], params, width })]
  },
  backward: (_run, _, [dy], xs, _outputs, needs) => xs.map((_x, i) => (needs[i] ? dy : null)),
})
