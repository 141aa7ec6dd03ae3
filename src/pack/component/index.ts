/** A packed model as a component: its module, the glue, and the interface. */
import { ThimbleError } from '../../base/errors.ts'
import { ComponentWriter, type Item, SORT } from './encode.ts'
import { glueModule, type GlueOptions, MOST_INPUTS } from './glue.ts'
import type { PictureTask } from '../wasi.ts'
import { modelInterface } from './model.ts'
import { witText } from './wit.ts'

export interface ComponentOptions extends GlueOptions {
  name: string
  /** What the core module exports for pictures, if it does. */
  images?: PictureTask | undefined
}

export interface Component {
  /** Bytes of static data that the component puts into the memory from `base` on. */
  staticBytes: number
  /** The interface and its world as text. */
  wit: string
  /** The component around a core module whose memory may grow. */
  wrap(core: Uint8Array): Uint8Array
}

/** Errors: `usage/target`. */
export function modelComponent(options: ComponentOptions): Component {
  if (options.inputs.length > MOST_INPUTS) {
    throw new ThimbleError('usage/target', 'the model takes too many inputs for a component', {
      expected: `at most ${MOST_INPUTS}`,
      got: options.inputs.length,
      hint: 'pack it with --target core',
    })
  }
  const face = modelInterface(options)
  const glue = glueModule(options)
  return {
    staticBytes: glue.staticBytes,
    wit: witText(face, { name: 'vision', doc: 'A component that `thimble pack` made.' }),
    wrap(core) {
      const w = new ComponentWriter()
      const model = w.coreInstantiate(w.coreModule(core), {})
      const shell = w.coreInstantiate(w.coreModule(glue.wasm), { model })
      const memory = w.coreExport(model, 'memory', 'memory')
      const room = {
        run: w.coreExport(shell, 'realloc', 'func'),
        ...(options.images ? { [options.images]: w.coreExport(model, 'image_realloc', 'func') } : {}),
      } as Record<string, number>
      const cores = face.functions.map(({ name }) =>
        name === options.images ? w.coreExport(model, `image_${name}`, 'func') : w.coreExport(shell, name, 'func'),
      )
      const items: Item[] = face.types.map((d) => ({ name: d.name, sort: SORT.type, index: w.definition(d) }))
      face.functions.forEach((f, i) => {
        const realloc = room[f.name]
        const index = w.lift(cores[i]!, f, { memory, ...(realloc === undefined ? {} : { realloc }) })
        items.push({ name: f.name, sort: SORT.func, index })
      })
      w.export(face.id, items)
      return w.finish()
    },
  }
}
