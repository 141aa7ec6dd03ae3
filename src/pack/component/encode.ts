/**
 * Components as bytes: sections in the order in which they are written, and the index spaces that they fill.
 * Source: the component model's Binary.md, preamble 0x0d 0x01; canonical options of the Canonical ABI.
 */
import { Writer } from '../bytes.ts'
import type { Definition, FunctionType, Interface, Primitive, WitType } from './wit.ts'

const PREAMBLE = Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0)

const PRIMITIVES: Record<Primitive, number> = {
  bool: 0x7f,
  s8: 0x7e,
  u8: 0x7d,
  s16: 0x7c,
  u16: 0x7b,
  s32: 0x7a,
  u32: 0x79,
  s64: 0x78,
  u64: 0x77,
  f32: 0x76,
  f64: 0x75,
  char: 0x74,
  string: 0x73,
}

/** Sorts of the core and of the component level. */
export const CORE_SORT = { func: 0, memory: 2 } as const
export const SORT = { func: 1, type: 3, instance: 5 } as const

const SECTION = {
  custom: 0,
  coreModule: 1,
  coreInstance: 2,
  instance: 5,
  alias: 6,
  type: 7,
  canon: 8,
  import: 10,
  export: 11,
} as const

/** An import's or export's name, without version suffix. */
const externName = (w: Writer, name: string): Writer => w.u8(0).name(name)

/** Where types are defined: a component, or an instance type inside it. Equal types are one. */
abstract class TypeScope {
  private readonly known = new Map<string, number>()
  private readonly names = new Map<string, number>()

  /** Writes a type and returns its index. */
  protected abstract define(bytes: Uint8Array): number
  /** Gives a type its name; returns the index to use from there on. */
  protected abstract publish(name: string, index: number): number

  /** A type of this scope by the name that others of it know it by. */
  name(name: string, index: number): void {
    this.names.set(name, index)
  }

  named(name: string): number {
    const index = this.names.get(name)
    if (index === undefined) throw new Error(`no type ${name} in scope`)
    return index
  }

  private interned(bytes: Uint8Array): number {
    const key = bytes.join()
    const at = this.known.get(key) ?? this.define(bytes)
    this.known.set(key, at)
    return at
  }

  /** A type where a value's type stands: a primitive, or an index. */
  private value(w: Writer, type: WitType): Writer {
    if (typeof type === 'string') return w.u8(PRIMITIVES[type])
    return w.s33('name' in type ? this.named(type.name) : this.compound(type))
  }
  private maybe(w: Writer, type: WitType | undefined): Writer {
    return type === undefined ? w.u8(0) : this.value(w.u8(1), type)
  }

  private compound(type: Exclude<WitType, string | { name: string }>): number {
    const w = new Writer()
    if ('list' in type) this.value(w.u8(0x70), type.list)
    else if ('option' in type) this.value(w.u8(0x6b), type.option)
    else if ('tuple' in type) w.u8(0x6f).list(type.tuple, (t) => this.value(w, t))
    else if ('own' in type) w.u8(0x69).u32(this.named(type.own))
    else if ('borrow' in type) w.u8(0x68).u32(this.named(type.borrow))
    else this.maybe(this.maybe(w.u8(0x6a), type.result.ok), type.result.error)
    return this.interned(w.finish())
  }

  /** Defines and names a record, variant or enumeration. */
  definition(d: Definition): number {
    const w = new Writer()
    if ('record' in d) {
      w.u8(0x72).list(d.record, (f) => this.value(w.name(f.name), f.type))
    } else if ('variant' in d) {
      w.u8(0x71).list(d.variant, (c) => this.maybe(w.name(c.name), c.type).u8(0))
    } else if ('enum' in d) w.u8(0x6d).list(d.enum, (name) => w.name(name))
    else throw new Error(`resource ${d.name} is not defined here`)
    const index = this.publish(d.name, this.define(w.finish()))
    this.name(d.name, index)
    return index
  }

  functionType({ params, result }: FunctionType): number {
    const w = new Writer().u8(0x40)
    w.list(params, (p) => this.value(w.name(p.name), p.type))
    if (result === undefined) w.u8(1, 0)
    else this.value(w.u8(0), result)
    return this.interned(w.finish())
  }
}

/** The type of an instance: declarations one after the other. */
class InstanceType extends TypeScope {
  private readonly declarations: Uint8Array[] = []
  private count = 0

  protected define(bytes: Uint8Array): number {
    this.declarations.push(new Writer().u8(0x01).bytes(bytes).finish())
    return this.count++
  }
  protected publish(name: string, index: number): number {
    this.declarations.push(externName(new Writer().u8(0x04), name).u8(0x03, 0x00).u32(index).finish())
    return this.count++
  }
  /** A type of the component around. */
  use(name: string, outer: number): void {
    this.declarations.push(new Writer().u8(0x02, SORT.type, 0x02).u32(1).u32(outer).finish())
    this.name(name, this.publish(name, this.count++))
  }
  resource(name: string): void {
    this.declarations.push(externName(new Writer().u8(0x04), name).u8(0x03, 0x01).finish())
    this.name(name, this.count++)
  }
  func(f: FunctionType): void {
    const type = this.functionType(f)
    this.declarations.push(externName(new Writer().u8(0x04), f.name).u8(0x01).u32(type).finish())
  }
  finish(): Uint8Array {
    const w = new Writer().u8(0x42)
    return w.list(this.declarations, (d) => w.bytes(d)).finish()
  }
}

export interface CanonOptions {
  /** Index of a core memory, with the texts in UTF-8. */
  memory?: number
  /** Index of the core function that makes room for what goes in. */
  realloc?: number
}

/** What an instance is made of: names and where they are. */
export interface Item {
  name: string
  sort: number
  index: number
}

/** A component under construction. Every method that makes something returns its index. */
export class ComponentWriter extends TypeScope {
  private readonly sections: { id: number; items: Uint8Array[] }[] = []
  private readonly counts = {
    coreModule: 0,
    coreInstance: 0,
    coreFunc: 0,
    coreMemory: 0,
    type: 0,
    func: 0,
    instance: 0,
  }

  private add(id: number, item: Uint8Array): void {
    const last = this.sections.at(-1)
    if (last?.id === id && id !== SECTION.coreModule && id !== SECTION.custom) last.items.push(item)
    else this.sections.push({ id, items: [item] })
  }

  protected define(bytes: Uint8Array): number {
    this.add(SECTION.type, bytes)
    return this.counts.type++
  }
  // What is exported gets its name with the instance that holds it.
  protected publish(_: string, index: number): number {
    return index
  }

  coreModule(wasm: Uint8Array): number {
    this.add(SECTION.coreModule, wasm)
    return this.counts.coreModule++
  }

  /** Instantiates a module with core instances for its import modules. */
  coreInstantiate(module: number, args: Readonly<Record<string, number>>): number {
    const w = new Writer().u8(0).u32(module)
    w.list(Object.entries(args), ([name, index]) => w.name(name).u8(0x12).u32(index))
    this.add(SECTION.coreInstance, w.finish())
    return this.counts.coreInstance++
  }

  /** A core instance of what is there already. */
  coreBag(items: readonly Item[]): number {
    const w = new Writer().u8(1)
    w.list(items, ({ name, sort, index }) => w.name(name).u8(sort).u32(index))
    this.add(SECTION.coreInstance, w.finish())
    return this.counts.coreInstance++
  }

  coreExport(instance: number, name: string, kind: keyof typeof CORE_SORT): number {
    this.add(SECTION.alias, new Writer().u8(0, CORE_SORT[kind], 1).u32(instance).name(name).finish())
    return kind === 'memory' ? this.counts.coreMemory++ : this.counts.coreFunc++
  }

  private options(w: Writer, { memory, realloc }: CanonOptions): Writer {
    const options = [
      ...(memory === undefined ? [] : [(): Writer => w.u8(0x00), (): Writer => w.u8(0x03).u32(memory)]),
      ...(realloc === undefined ? [] : [(): Writer => w.u8(0x04).u32(realloc)]),
    ]
    return w.list(options, (write) => write())
  }

  /** A core function as one of the component's. */
  lift(core: number, type: FunctionType, options: CanonOptions): number {
    const index = this.functionType(type)
    const w = new Writer().u8(0, 0).u32(core)
    this.add(SECTION.canon, this.options(w, options).u32(index).finish())
    return this.counts.func++
  }

  /** A function of the component as a core function. */
  lower(func: number, options: CanonOptions): number {
    this.add(SECTION.canon, this.options(new Writer().u8(1, 0).u32(func), options).finish())
    return this.counts.coreFunc++
  }

  /** The core function that drops a handle. */
  drop(resource: number): number {
    this.add(SECTION.canon, new Writer().u8(3).u32(resource).finish())
    return this.counts.coreFunc++
  }

  instanceExport(instance: number, name: string, kind: 'func' | 'type'): number {
    this.add(SECTION.alias, new Writer().u8(SORT[kind], 0).u32(instance).name(name).finish())
    return kind === 'type' ? this.counts.type++ : this.counts.func++
  }

  /** Imports an interface; what it uses must have been imported and named before. */
  import(face: Interface): number {
    const type = new InstanceType()
    for (const { names } of face.uses ?? []) for (const name of names) type.use(name, this.named(name))
    for (const d of face.types) {
      if ('resource' in d) type.resource(d.name)
      else type.definition(d)
    }
    for (const f of face.functions) type.func(f)
    const index = this.define(type.finish())
    this.add(SECTION.import, externName(new Writer(), face.id).u8(0x05).u32(index).finish())
    return this.counts.instance++
  }

  /** Exports an instance of these items. */
  export(id: string, items: readonly Item[]): void {
    const w = new Writer().u8(1)
    w.list(items, ({ name, sort, index }) => externName(w, name).u8(sort).u32(index))
    this.add(SECTION.instance, w.finish())
    const instance = this.counts.instance++
    this.add(SECTION.export, externName(new Writer(), id).u8(SORT.instance).u32(instance).u8(0).finish())
    this.counts.instance++
  }

  finish(): Uint8Array {
    const w = new Writer().bytes(PREAMBLE)
    for (const { id, items } of this.sections) {
      w.u8(id)
      if (id === SECTION.coreModule || id === SECTION.custom) w.u32(items[0]!.length).bytes(items[0]!)
      else w.block((s) => s.list(items, (item) => s.bytes(item)))
    }
    return w.finish()
  }
}
