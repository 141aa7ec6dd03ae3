/**
 * A host of components without an engine for them: it takes them apart by the component model's binary format and calls
 * what is inside by the canonical ABI, as an engine would. For `thimble:vision/model`.
 */
import { Buffer } from 'node:buffer'
import { Reader } from '../src/pack/bytes.ts'

export interface Section {
  id: number
  bytes: Uint8Array
}

/** The sections of a component. */
export function sectionsOf(component: Uint8Array): Section[] {
  const magic = [...component.subarray(0, 8)]
  if (magic.join() !== '0,97,115,109,13,0,1,0') throw new Error(`not a component: ${magic.join()}`)
  const r = new Reader(component, 8)
  const sections: Section[] = []
  while (!r.done) sections.push({ id: r.u8(), bytes: r.take(r.u32()) })
  return sections
}

export const coreModules = (component: Uint8Array): Uint8Array[] =>
  sectionsOf(component).flatMap(({ id, bytes }) => (id === 1 ? [bytes] : []))

/** Names of the instances that a component exports. */
export const exportedInstances = (component: Uint8Array): string[] =>
  sectionsOf(component).flatMap(({ id, bytes }) => {
    if (id !== 11) return []
    const r = new Reader(bytes)
    return r.list(() => {
      r.u8()
      const name = r.name()
      if (r.u8() !== 5) throw new Error(`${name} is not an instance`)
      r.u32()
      r.u8()
      return name
    })
  })

type Core = Record<string, (...args: number[]) => number>

/** A list of numbers: what the canonical ABI stores of it is the array's own bytes. */
export type Numbers = Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array | BigInt64Array

export interface HostedTensor {
  name: string
  shape: number[]
  elements: number
  scale: number
  zeroPoint: number
}
export type Answer<T> = { ok: T } | { error: { case: number; text: string } }

export class HostedModel {
  private readonly model: Core
  private readonly shell: Core
  readonly memory: WebAssembly.Memory

  /** `component`: one that exports `thimble:vision/model`. */
  constructor(component: Uint8Array) {
    const [model, shell] = coreModules(component).map((bytes) => new WebAssembly.Module(bytes as BufferSource))
    const { exports } = new WebAssembly.Instance(model!)
    this.model = exports as unknown as Core
    this.shell = new WebAssembly.Instance(shell!, { model: exports }).exports as unknown as Core
    this.memory = exports.memory as WebAssembly.Memory
  }

  private get view(): DataView {
    return new DataView(this.memory.buffer)
  }
  private u32(at: number): number {
    return this.view.getUint32(at, true)
  }
  private f64(at: number): number {
    return this.view.getFloat64(at, true)
  }
  private text(at: number): string {
    return Buffer.from(this.memory.buffer, this.u32(at), this.u32(at + 4)).toString()
  }
  private list<T>(at: number, size: number, item: (at: number) => T): T[] {
    const from = this.u32(at)
    return Array.from({ length: this.u32(at + 4) }, (_, i) => item(from + i * size))
  }
  private answer<T>(at: number, ok: (at: number) => T): Answer<T> {
    if (this.view.getUint8(at) === 0) return { ok: ok(at + 4) }
    return { error: { case: this.view.getUint8(at + 4), text: this.text(at + 8) } }
  }
  /** Puts a list into the memory: its address. */
  private lower(realloc: (...args: number[]) => number, list: Numbers): number {
    const at = realloc(0, 0, list.BYTES_PER_ELEMENT, list.byteLength) >>> 0
    if (at % list.BYTES_PER_ELEMENT || at + list.byteLength > this.memory.buffer.byteLength) {
      throw new Error(`realloc gave ${at}`)
    }
    new Uint8Array(this.memory.buffer).set(new Uint8Array(list.buffer, list.byteOffset, list.byteLength), at)
    return at
  }

  private tensors(which: 'inputs' | 'outputs'): HostedTensor[] {
    return this.list(this.shell[which]!(), 28, (at) => ({
      name: this.text(at),
      shape: this.list(at + 8, 4, (d) => this.u32(d)),
      elements: this.view.getUint8(at + 16),
      scale: this.view.getFloat32(at + 20, true),
      zeroPoint: this.view.getInt32(at + 24, true),
    }))
  }
  get inputs(): HostedTensor[] {
    return this.tensors('inputs')
  }
  get outputs(): HostedTensor[] {
    return this.tensors('outputs')
  }

  /** Where the inputs were put, in the last run. */
  lowered: number[] = []
  /** Bytes of the outputs, whose elements take `widths` bytes. */
  run(inputs: readonly Numbers[], widths: readonly number[]): Answer<Uint8Array[]> {
    this.lowered = inputs.map((list) => this.lower(this.shell.realloc!, list))
    const at = this.shell.run!(...inputs.flatMap((list, i) => [this.lowered[i]!, list.length]))
    return this.answer(at, (lists) =>
      widths.map((width, i) => {
        const from = this.u32(lists + 8 * i)
        return new Uint8Array(this.memory.buffer, from, this.u32(lists + 8 * i + 4) * width).slice()
      }),
    )
  }
  reset(): void {
    this.shell.reset!()
  }

  private image(name: string, image: Uint8Array, more: number[] = []): number {
    // An engine asks for no room for a list that is empty.
    const at = image.length ? this.lower(this.model.image_realloc!, image) : 0
    return this.model[`image_${name}`]!(at, image.length, ...more)
  }

  classify(image: Uint8Array, top: number): Answer<{ label: string; index: number; score: number }[]> {
    return this.answer(this.image('classify', image, [top]), (at) =>
      this.list(at, 24, (p) => ({ label: this.text(p), index: this.u32(p + 8), score: this.f64(p + 16) })),
    )
  }

  private box(at: number): { x: number; y: number; width: number; height: number } {
    return { x: this.f64(at), y: this.f64(at + 8), width: this.f64(at + 16), height: this.f64(at + 24) }
  }
  detect(image: Uint8Array): Answer<unknown[]> {
    return this.answer(this.image('detect', image), (at) =>
      this.list(at, 56, (d) => ({
        box: this.box(d),
        score: this.f64(d + 32),
        label: this.text(d + 40),
        index: this.u32(d + 48),
      })),
    )
  }
  pose(image: Uint8Array): Answer<unknown[]> {
    return this.answer(this.image('pose', image), (at) =>
      this.list(at, 56, (p) => ({
        score: this.f64(p),
        ...(this.view.getUint8(p + 8) ? { box: this.box(p + 16) } : {}),
        points: this.list(p + 48, 40, (k) => ({
          name: this.text(k),
          x: this.f64(k + 8),
          y: this.f64(k + 16),
          ...(this.view.getUint8(k + 24) ? { score: this.f64(k + 32) } : {}),
        })),
      })),
    )
  }
  segment(image: Uint8Array): Answer<unknown[]> {
    return this.answer(this.image('segment', image), (at) =>
      this.list(at, 24, (c) => ({
        label: this.text(c),
        index: this.u32(c + 8),
        pixels: this.u32(c + 12),
        share: this.f64(c + 16),
      })),
    )
  }
}
