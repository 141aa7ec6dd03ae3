/** Keras layers around another layer. */
import { isModel, isObject, parseLayer, type Json, type LayerConfig } from './config.ts'
import { fail, malformed, type Context, type Layer, type Run } from './layer.ts'

/** Runs the layer inside on one tensor; its weights are under its own name, or under the wrapper's. */
function runInside(c: Context, l: Layer, inside: LayerConfig, inputs: readonly number[]): number[] {
  const named = isModel(inside.className) || c.weights.inner(l.path).includes(inside.name)
  const path = named ? [...l.path, inside.name] : l.path
  return c.run({ ...inside, name: `${l.name}/${inside.name}`, path }, [...inputs])
}

const insideOf = (l: Layer, value: Json | undefined): LayerConfig =>
  isObject(value) ? parseLayer(value) : malformed(l, 'inner layer')

/** The time steps as a batch, and back. */
export const timeDistributed: Run = (c, l, x) => {
  const [n, steps, ...rest] = c.net.shape(x)
  if (steps === undefined || rest.length === 0) return malformed(l, 'input rank')
  const batch = c.net.reshape(`${l.name}/batch`, x, [n! * steps, ...rest])
  const made = runInside(c, l, insideOf(l, l.config.layer), [batch])
  return made.map((y, i) => c.net.reshape(i ? `${l.name}/${i}` : l.name, y, [n!, steps, ...c.net.shape(y).slice(1)]))
}

/** What is stored is the kernel that its spectral norm has divided already. */
export const inner: Run = (c, l, x) => runInside(c, l, insideOf(l, l.config.layer), [x])

const reversed = (c: Context, name: string, x: number): number => {
  const axes = c.net.int32(`${name}/axes`, [1], [1])
  return c.net.op<never>({ type: 'REVERSE_V2', inputs: [x, axes], attrs: {} } as never, name, c.net.shape(x))
}

export const bidirectional: Run = (c, l, x) => {
  const forward = insideOf(l, l.config.layer)
  if (forward.config.return_state === true) return fail(l, 'return_state')
  const given = l.config.backward_layer
  const backward: LayerConfig = isObject(given)
    ? parseLayer(given)
    : {
        ...forward,
        name: forward.name.startsWith('forward_')
          ? forward.name.replace('forward_', 'backward_')
          : `backward_${forward.name}`,
        config: { ...forward.config, go_backwards: forward.config.go_backwards !== true },
      }
  const names = c.weights.inner(l.path)
  const named = (layer: LayerConfig): LayerConfig =>
    names.includes(layer.name) || !names.includes(`forward_${layer.name}`)
      ? layer
      : { ...layer, name: `forward_${layer.name}` }
  const [a] = runInside(c, l, named(forward), [x])
  const [last] = runInside(c, l, backward, [x])
  if (a === undefined || last === undefined) return malformed(l, 'inner layer')
  const b = forward.config.return_sequences === true ? reversed(c, `${l.name}/reversed`, last) : last
  const mode = l.config.merge_mode ?? null
  if (mode === null) return [a, b]
  if (mode === 'concat') return c.net.concat(l.name, [a, b], -1)
  if (mode === 'sum') return c.net.binary(l.name, 'ADD', a, b)
  if (mode === 'mul') return c.net.binary(l.name, 'MUL', a, b)
  if (mode !== 'ave') return fail(l, `merge_mode ${JSON.stringify(mode)}`)
  return c.net.affine(l.name, c.net.binary(`${l.name}/sum`, 'ADD', a, b), [0.5], [0])
}
