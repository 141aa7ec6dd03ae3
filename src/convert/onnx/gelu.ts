/**
 * GELU spelled out in Erf, as exporters without the op write it: x * 0.5 * (1 + erf(x / sqrt 2)), its factors in any
 * order.
 */
import type { OnnxModel, OnnxNode } from './model.ts'

class Finder {
  readonly gone = new Set<OnnxNode>()
  readonly made = new Map<OnnxNode, OnnxNode>()
  private readonly producer = new Map<string, OnnxNode>()
  private readonly readers = new Map<string, OnnxNode[]>()
  private readonly scalars = new Map<string, number>()

  constructor(model: OnnxModel) {
    for (const [name, t] of model.constants) if (t.data.length === 1) this.scalars.set(name, t.data[0]!)
    for (const n of model.nodes) {
      for (const o of n.outputs) this.producer.set(o, n)
      for (const i of new Set(n.inputs)) this.readers.set(i, [...(this.readers.get(i) ?? []), n])
      const value = n.type === 'Constant' ? n.attributes.get('value')?.t : undefined
      const single = value?.data.length === 1 ? value.data[0] : n.attributes.get('value_float')?.f
      if (n.type === 'Constant' && single !== undefined) this.scalars.set(n.outputs[0]!, single)
    }
    for (const o of model.outputs) this.readers.set(o.name, [...(this.readers.get(o.name) ?? []), model.nodes[0]!])
  }

  private only(name: string, type: string): OnnxNode | undefined {
    const all = this.readers.get(name) ?? []
    return all.length === 1 && all[0]!.type === type ? all[0] : undefined
  }

  /** The operand of a node beside the one of this name. */
  private beside = (n: OnnxNode, name: string): string => (n.inputs[0] === name ? n.inputs[1]! : n.inputs[0]!)

  private isNear = (name: string, value: number): boolean => Math.abs((this.scalars.get(name) ?? NaN) - value) < 1e-4

  /** What a node multiplies by `factor`; undefined for another node. */
  private times(n: OnnxNode | undefined, factor: number): string | undefined {
    if (n?.type === 'Div' && this.isNear(n.inputs[1]!, 1 / factor)) return n.inputs[0]
    if (n?.type !== 'Mul') return undefined
    return n.inputs.find((name, i) => this.isNear(n.inputs[1 - i]!, factor))
  }

  private outOf = (n: OnnxNode): string => n.outputs[0]!

  /** Forgets an op that nothing but what is gone reads. */
  private forget(n: OnnxNode): void {
    if ((this.readers.get(this.outOf(n)) ?? []).every((reader) => this.gone.has(reader))) this.gone.add(n)
  }

  erf(e: OnnxNode): void {
    const inner = this.producer.get(e.inputs[0]!)
    const x = this.times(inner, Math.SQRT1_2)
    const plus = this.only(this.outOf(e), 'Add')
    if (x === undefined || !plus || !this.isNear(this.beside(plus, this.outOf(e)), 1)) return
    const first = this.only(this.outOf(plus), 'Mul')
    if (!first) return
    const factor = this.beside(first, this.outOf(plus))
    const half = this.producer.get(factor)
    const second =
      (this.readers.get(this.outOf(first)) ?? []).length === 1 ? this.readers.get(this.outOf(first))![0] : undefined
    const halved = half && this.times(half, 0.5) === x
    let last: OnnxNode | undefined
    if (halved) last = first
    else if (factor === x && second && this.times(second, 0.5) === this.outOf(first)) last = second
    else if (this.isNear(factor, 0.5) && second?.type === 'Mul' && this.beside(second, this.outOf(first)) === x) {
      last = second
    }
    if (!last) return
    this.made.set(last, { ...last, type: 'Gelu', domain: '', inputs: [x], attributes: new Map() })
    for (const n of [e, plus, first, last]) this.gone.add(n)
    this.forget(inner!)
    if (halved) this.forget(half)
  }
}

/** The model with Gelu nodes in the place of such chains. */
export function recogniseGelu(model: OnnxModel): OnnxModel {
  const erfs = model.nodes.filter((n) => n.type === 'Erf')
  if (erfs.length === 0) return model
  const finder = new Finder(model)
  for (const e of erfs) finder.erf(e)
  const nodes = model.nodes.flatMap((n) => finder.made.get(n) ?? (finder.gone.has(n) ? [] : [n]))
  return { ...model, nodes }
}
