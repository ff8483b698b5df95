// Tests kindred export, kindred import and --init as programs: weights leave and come back as equal
// bits.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import * as assert from 'uvu/assert'
import { procedural } from '../../../data/procedural.ts'
import { load, save } from '../../../engine/node-files.ts'
import { openGpu } from '../../../engine/node.ts'
import { openRun } from '../../../run-folder/open.ts'
import { openEncoder } from '../../../run-folder/saved-encoder.ts'
import { train } from '../../../training/train.ts'
import { kindred } from '../../fixtures/cli.ts'
import { refusesAsync } from '../../fixtures/refusal.ts'
import { seenSuite } from '../../fixtures/seen.ts'

const test = seenSuite('kindred export and import')

const notNumbers = { shape: [2], data: Float32Array.of(0, Infinity) }

test('an exported file has exactly the names of torchvision, and comes back as equal bits', async ({
  run,
  dir,
}) => {
  const file = join(dir, 'encoder.safetensors')
  const { code, err } = await kindred('export', run, '--to', file)
  assert.is(code, 0, err)
  const { tensors } = await load(file)
  const norm = (name: string) =>
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map(
      (part) => `${name}.${part}`,
    )
  const block = (name: string, down: boolean) => [
    ...[
      `${name}.conv1.weight`,
      ...norm(`${name}.bn1`),
      `${name}.conv2.weight`,
      ...norm(`${name}.bn2`),
    ],
    ...(down ? [`${name}.downsample.0.weight`, ...norm(`${name}.downsample.1`)] : []),
  ]
  const wanted = [
    ...['conv1.weight', ...norm('bn1'), ...block('layer1.0', false)],
    ...[...block('layer2.0', true), ...block('layer3.0', true)],
  ]
  assert.equal([...tensors.keys()].sort(), wanted.sort())
  assert.equal(tensors.get('bn1.num_batches_tracked')?.shape, [])
  const prefixed = join(dir, 'moco.safetensors')
  const named = [...tensors].map(([name, t]) => [`module.encoder_q.${name}`, t] as const)
  const more = ['fc.weight', { shape: [1], data: Float32Array.of(1) }] as const
  await save(prefixed, new Map([...named, more]))
  const copy = join(dir, 'imported')
  const encoder = ['--model', 'resnet8', '--width', '2']
  const made = await kindred('import', prefixed, ...encoder, '--out', copy)
  assert.is(made.code, 0, made.err)
  assert.match(made.out, /under the prefix 'module\.encoder_q\.'; 1 tensor not used: fc\.weight/)
  const { checkpoint } = await openEncoder(copy)
  for (const [name, { data }] of tensors) assert.equal(checkpoint.tensors.get(name)?.data, data)
  const twin = join(dir, 'twins.safetensors')
  const keys = [...tensors].map(([name, t]) => [`module.encoder_k.${name}`, t] as const)
  await save(twin, new Map([...named, ...keys]))
  const chosen = join(dir, 'chosen')
  const torn = await kindred('import', twin, ...encoder, '--out', chosen)
  assert.is(torn.code, 1)
  assert.match(
    torn.err,
    /twins\.safetensors: the model's .* 'module\.encoder_q\.', 'module\.encoder_k\.'; choose one, such as --prefix 'module\.encoder_q\.'/,
  )
  const key = ['--prefix', 'module.encoder_k.']
  const taken = await kindred('import', twin, ...encoder, ...key, '--out', chosen)
  assert.match(taken.out, /under the prefix 'module\.encoder_k\.'/)
  const alone = await kindred('train', 'simclr', '--init-prefix', 'module.')
  assert.is(alone.code, 2)
  assert.match(alone.err, /--init-prefix is of the names in the file of --init; give --init too/)
  const wrong = join(dir, 'wrong')
  const refused = await kindred('import', prefixed, '--model', 'resnet18', '--out', wrong)
  assert.is(refused.code, 1)
  assert.match(refused.err, /layer1\.0\.conv1\.weight is \[2, 2, 3, 3\], the model needs \[64, 64/)
  assert.not(existsSync(wrong))
  const unlike = await kindred('import', prefixed, '--model', 'vit-tiny', '--out', wrong)
  assert.is(
    unlike.err,
    'kindred: --model: must be one of resnet8, resnet18, resnet34, resnet50, got vit-tiny\n',
  )
  const bad = join(dir, 'bad.safetensors')
  await save(bad, new Map([...named, ['module.encoder_q.bn1.bias', notNumbers]]))
  for (const args of [
    ['import', bad, ...encoder],
    ['train', 'simclr', '--data', 'procedural:8,4', '--batch', '4', ...encoder, '--init', bad],
  ]) {
    const unread = await kindred(...args, '--out', wrong)
    assert.is(unread.code, 1)
    assert.is(
      unread.err.trim().split('\n').at(-1),
      `kindred: ${bad}: values are not finite, in module.encoder_q.bn1.bias; load a checkpoint ` +
        'from before that training diverged',
    )
    assert.not(existsSync(wrong), args[0])
  }
})

test('an imported encoder is no training to resume: its weights begin one by --init', async ({
  run,
  dir,
}) => {
  const file = join(dir, 'other.safetensors')
  await kindred('export', run, '--to', file)
  const out = join(dir, 'foreign')
  const [gone, small] = [`folder:${join(dir, 'gone')}`, ['--model', 'resnet8', '--width', '2']]
  const made = await kindred('import', file, ...small, '--data', gone, '--out', out)
  assert.is(made.code, 0, made.err)
  const weights = join(out, 'checkpoints', 'step-00000000.safetensors')
  const words =
    `${out}: it holds an imported encoder, not a training to go on with; begin one with its ` +
    `weights, by kindred train simclr --init ${weights} and the same --model, --stem and --width`
  for (const method of ['simclr', 'moco']) {
    const refused = await kindred('train', method, '--resume', out)
    assert.is(refused.code, 1)
    assert.is(refused.err, `kindred: ${words}\n`)
  }
  const packed = await kindred('export', out, '--to', join(dir, 'foreign.zip'))
  assert.equal([packed.code, packed.err], [1, `kindred: ${words}\n`])
  assert.not(existsSync(join(dir, 'foreign.zip')))
  const unknown = await kindred('import', file, ...small, '--data', 'garbage', '--out', out)
  assert.is(unknown.code, 2)
  assert.match(unknown.err, /--data: must be one of .*, got 'garbage'/)
  const gpu = await openGpu()
  const storage = await openRun(out)
  await refusesAsync(() => train(gpu, procedural({ train: 512, test: 4 }), storage), words)
  gpu.destroy()
  const images = ['--data', 'procedural:16,4', '--batch', '8', '--epochs', '1']
  const begun = ['--init', weights, ...small, ...images, '--out', join(dir, 'from-foreign')]
  const { code, err } = await kindred('train', 'simclr', ...begun)
  assert.is(code, 0, err)
})

test('an ONNX file says how images are prepared, and computes what the encoder computes', async ({
  run,
  dir,
}) => {
  const file = join(dir, 'encoder.onnx')
  const { code, err } = await kindred('export', run, '--to', file, '--unit')
  assert.is(code, 0, err)
  assert.match(readFileSync(file, 'latin1'), /kindred\.image.*"mean":\[/s)
  const session = await InferenceSession.create(file)
  const side = 32
  const nhwc = Float32Array.from({ length: side * side * 3 }, (_, i) => Math.sin(i / 9))
  const nchw = Float32Array.from(nhwc, (_, i) => {
    const [c, at] = [Math.floor(i / side ** 2), i % side ** 2]
    return nhwc[at * 3 + c] ?? NaN
  })
  const answer = await session.run({ input: new Tensor('float32', nchw, [1, 3, side, side]) })
  const got = answer['embedding']?.data as Float32Array
  const gpu = await openGpu()
  const model = await (await openEncoder(run)).build(gpu)
  const x = gpu.tensor(nhwc, [1, side, side, 3])
  const wanted = await gpu.read(gpu.noGrad(() => model.forward(x, { training: false })))
  gpu.destroy()
  const length = Math.hypot(...wanted)
  for (const [d, v] of wanted.entries()) assert.ok(Math.abs(v / length - (got[d] ?? NaN)) < 1e-4)
})

test('a training begins with the weights of --init, the key encoder too', async ({ run, dir }) => {
  const file = join(dir, 'init.safetensors')
  const { checkpoint } = await openEncoder(run)
  await save(file, checkpoint.tensors)
  const out = join(dir, 'begun')
  const small = ['--data', 'procedural:16,4', '--model', 'resnet8', '--width', '2', '--batch', '8']
  const never = ['--epochs', '1', '--lr', '1e-30', '--queue', '16', '--bn-splits', '1']
  const args = [...small, ...never, '--size', '32', '--seed', '5', '--out', out, '--init', file]
  const { code, out: said, err } = await kindred('train', 'moco', ...args)
  assert.is(code, 0, err)
  assert.match(
    said,
    /weights of .*init\.safetensors: \d+ tensors loaded, without a prefix; \d+ tens/,
  )
  const { tensors } = (await openEncoder(out)).checkpoint
  for (const name of ['layer1.0.conv1.weight', 'key.layer1.0.conv1.weight']) {
    const was = Array.from(checkpoint.tensors.get('layer1.0.conv1.weight')?.data ?? [], Number)
    const is = Array.from(tensors.get(name)?.data ?? [], Number)
    assert.is(is.length, 2 * 2 * 3 * 3)
    assert.ok(was.every((v, i) => Math.abs(v - (is[i] ?? NaN)) < 1e-4))
  }
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as {
    readonly about: { readonly init?: string }
  }
  assert.is(config.about.init, file)
})

test('kinds of files are told by their endings, and options by the kind', async ({ run, dir }) => {
  const pt = await kindred('export', run, '--to', join(dir, 'a.pt'))
  assert.is(pt.code, 2)
  assert.match(pt.err, /--to: must end in \.onnx, \.safetensors or \.zip, or be a folder/)
  const half = await kindred('export', run, '--to', join(dir, 'a.safetensors'), '--half')
  assert.is(half.err, 'kindred: --half: is of .onnx files; leave it out\n')
  const file = join(dir, 'page-weights.safetensors')
  await kindred('export', run, '--to', file)
  const both = await kindred('export', file, '--to', join(dir, 'b.onnx'), '--checkpoint', 'best')
  assert.is(both.code, 2)
  assert.match(
    both.err,
    /page-weights\.safetensors is a checkpoint already; leave out the option checkpoint, 'best'/,
  )
  const folder = join(dir, 'page')
  const page = await kindred('export', run, '--to', folder)
  assert.is(page.code, 0, page.err)
  const settings = JSON.parse(readFileSync(join(folder, 'encoder.json'), 'utf8')) as {
    readonly weights: string
    readonly encoder: { readonly name: string; readonly width: number }
  }
  assert.is(settings.encoder.name, 'resnet8')
  assert.ok((await load(join(folder, settings.weights))).tensors.has('conv1.weight'))
})

test.run()
