// The app's own renderer: each picture is a square that faces the camera. It reads the pictures'
// places and pixels from buffers that it is given, and knows nothing of training.

const shader = /* wgsl */ `
  struct Camera { turn: vec2f, scale: f32, size: u32 }
  @group(0) @binding(0) var<uniform>       camera: Camera;
  @group(0) @binding(1) var<storage, read> pixels: array<u32>; // u8 [count, size, size, 3]

  struct Vertex {
    @builtin(position) position: vec4f,
    @location(0) at: vec2f,
    @location(1) @interpolate(flat) picture: u32,
    @location(2) @interpolate(flat) depth: f32,
  }

  @vertex
  fn vertex(
    @builtin(vertex_index) corner: u32,
    @builtin(instance_index) picture: u32,
    @location(0) place: vec3f,
  ) -> Vertex {
    let unit = vec2f(f32(corner & 1u), f32(corner >> 1u));
    let x = camera.turn.x * place.x + camera.turn.y * place.z;
    let z = camera.turn.x * place.z - camera.turn.y * place.x;
    let side = camera.scale * (0.75 + 0.25 * z);
    let position = 0.86 * vec2f(x, place.y) + side * (unit - 0.5);
    return Vertex(vec4f(position, 0.5 - 0.4 * z, 1), unit, picture, z);
  }

  fn byte(i: u32) -> f32 { return f32((pixels[i / 4u] >> (8u * (i % 4u))) & 255u) / 255; }

  @fragment
  fn fragment(v: Vertex) -> @location(0) vec4f {
    let size = camera.size;
    let texel = min(vec2u(v.at * f32(size)), vec2u(size - 1u));
    let i = 3u * ((v.picture * size + (size - 1u - texel.y)) * size + texel.x);
    let near = 0.7 + 0.3 * v.depth;
    return vec4f(near * vec3f(byte(i), byte(i + 1u), byte(i + 2u)), 1);
  }
`

/** Makes a function that draws a frame at a time in milliseconds. `places` and `pixels` tell where
 *  the pictures' places, f32 [count, 3], and pixels lie: buffer, offset and size. */
export function openScene(device, canvas, { places, pixels, count, size }) {
  const context = canvas.getContext('webgpu')
  const format = navigator.gpu.getPreferredCanvasFormat()
  context.configure({ device, format, alphaMode: 'premultiplied' })
  const module = device.createShaderModule({ code: shader })
  const attributes = [{ shaderLocation: 0, offset: 0, format: 'float32x3' }]
  const pipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module, buffers: [{ arrayStride: 12, stepMode: 'instance', attributes }] },
    fragment: { module, targets: [{ format }] },
    primitive: { topology: 'triangle-strip' },
    depthStencil: { format: 'depth24plus', depthWriteEnabled: true, depthCompare: 'less' },
  })
  const camera = device.createBuffer({
    size: 16,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  })
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: { buffer: camera } },
      { binding: 1, resource: pixels },
    ],
  })
  let depth = null
  return (time) => {
    const side = Math.max(1, Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio)))
    if (canvas.width !== side || !depth) {
      Object.assign(canvas, { width: side, height: side })
      depth?.destroy()
      const usage = GPUTextureUsage.RENDER_ATTACHMENT
      depth = device.createTexture({ size: [side, side], format: 'depth24plus', usage })
    }
    const angle = time / 4000
    const words = new Float32Array([Math.cos(angle), Math.sin(angle), 1.3 / Math.sqrt(count), 0])
    new Uint32Array(words.buffer)[3] = size
    device.queue.writeBuffer(camera, 0, words)
    const encoder = device.createCommandEncoder()
    const view = context.getCurrentTexture().createView()
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, loadOp: 'clear', storeOp: 'store' }],
      depthStencilAttachment: {
        ...{ view: depth.createView(), depthClearValue: 1 },
        ...{ depthLoadOp: 'clear', depthStoreOp: 'discard' },
      },
    })
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    pass.setVertexBuffer(0, places.buffer, places.offset, places.size)
    pass.draw(4, count)
    pass.end()
    device.queue.submit([encoder.finish()])
  }
}
