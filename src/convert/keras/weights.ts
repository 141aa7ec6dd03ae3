/** Named weights of a Keras-family file, found by layer path however the file scopes its names. */
import { ThimbleError } from '../../base/errors.ts'
import { elements } from '../../graph/graph.ts'
import type { Values } from '../builder.ts'

export interface NamedWeight {
  /**
   * Name components, outermost first, last the parameter (`kernel`), or `#0`, `#1`… where the file only numbers them.
   */
  path: string[]
  value: Values
}

const ALIASES: Record<string, readonly string[]> = {
  depthwise_kernel: ['depthwise_kernel', 'kernel'],
  moving_variance: ['moving_variance', 'variance'],
  moving_mean: ['moving_mean', 'mean'],
}

/** Splits `a/b/kernel:0` into components. */
export const weightPath = (name: string): string[] => name.replace(/:\d+$/, '').split('/').filter(Boolean)

export class KerasWeights {
  private readonly byLayer = new Map<string, NamedWeight[]>()

  private readonly all: readonly NamedWeight[]

  constructor(weights: Iterable<NamedWeight>) {
    this.all = [...weights]
    for (const w of this.all) {
      // A layer's own name may hold slashes: index by every suffix of its scope.
      const scope = w.path.slice(0, -1)
      for (let i = 0; i < scope.length; i++) {
        const key = scope.slice(i).join('/')
        const list = this.byLayer.get(key)
        if (list) list.push(w)
        else this.byLayer.set(key, [w])
      }
    }
  }

  /** Entries of the layer, those whose scope agrees best with the nesting. */
  private of(layer: readonly string[]): NamedWeight[] {
    const all = this.byLayer.get(layer[layer.length - 1]!) ?? []
    const score = (w: NamedWeight): number => layer.slice(0, -1).filter((l) => w.path.includes(l)).length
    const best = Math.max(0, ...all.map(score))
    return all.filter((w) => score(w) === best)
  }

  /** Names right under the layer's own, in the file's order: those of cells, heads and wrapped layers. */
  inner(layer: readonly string[]): string[] {
    const own = layer[layer.length - 1]!
    const at = (w: NamedWeight): number => w.path.lastIndexOf(own, w.path.length - 2)
    const score = (w: NamedWeight): number => layer.slice(0, -1).filter((l) => w.path.includes(l)).length
    const under = this.all.filter((w) => at(w) >= 0)
    const best = Math.max(0, ...under.map(score))
    const names = under.flatMap((w) => (score(w) === best && at(w) + 2 < w.path.length ? [w.path[at(w) + 1]!] : []))
    return [...new Set(names)]
  }

  has(layer: readonly string[], param: string): boolean {
    return this.find(layer, param, -1) !== undefined
  }

  private find(layer: readonly string[], param: string, order: number): NamedWeight | undefined {
    const names = ALIASES[param] ?? [param]
    const entries = this.of(layer)
    const hits = entries.filter((w) => names.includes(w.path[w.path.length - 1]!))
    const numbered = hits.length ? hits : entries.filter((w) => w.path[w.path.length - 1] === `#${order}`)
    // The shortest scope is the layer itself rather than something nested in a layer of the same name.
    return numbered.sort((a, b) => a.path.length - b.path.length)[0]
  }

  /**
   * The parameters of a layer, in the order Keras keeps them.
   * Errors: `format/keras` when one is missing or has another shape than expected (-1: any length).
   */
  get(layer: readonly string[], params: readonly { name: string; shape: readonly number[] }[]): Values[] {
    return params.map(({ name, shape }, order) => {
      const w = this.find(layer, name, order)
      const where = `${layer.join('/')}/${name}`
      if (!w) {
        throw new ThimbleError('format/keras', 'weight is missing from the file', {
          tensor: where,
          hint: 'save the whole model (model.save), not only its architecture',
        })
      }
      const fits = w.value.shape.length === shape.length && shape.every((d, i) => d === -1 || d === w.value.shape[i])
      if (!fits || elements(w.value.shape) !== w.value.data.length) {
        throw new ThimbleError('format/keras', 'weight does not fit its layer', {
          tensor: where,
          expected: `[${shape.join(', ')}]`,
          got: `[${w.value.shape.join(', ')}]`,
        })
      }
      return w.value
    })
  }
}
