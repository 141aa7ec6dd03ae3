/**
 * Interfaces of the component model as data: what src/pack/component describes once and writes twice, as the text that
 * people and bindings generators read (WIT) and as the binary's types (encode.ts).
 * Source: the component model's WIT.md.
 */

export type Primitive =
  'bool' | 's8' | 'u8' | 's16' | 'u16' | 's32' | 'u32' | 's64' | 'u64' | 'f32' | 'f64' | 'char' | 'string'

export type WitType =
  | Primitive
  | { readonly list: WitType }
  | { readonly option: WitType }
  | { readonly tuple: readonly WitType[] }
  | { readonly result: { readonly ok?: WitType; readonly error?: WitType } }
  /** A definition of the interface. */
  | { readonly name: string }
  /** Handles of a resource. */
  | { readonly own: string }
  | { readonly borrow: string }

export interface Field {
  name: string
  type: WitType
  doc?: string
}
export interface Case {
  name: string
  type?: WitType
  doc?: string
}
interface Named {
  name: string
  doc?: string
}
export type Definition = Named &
  ({ record: readonly Field[] } | { variant: readonly Case[] } | { enum: readonly string[] } | { resource: true })

export interface FunctionType extends Named {
  params: readonly { name: string; type: WitType }[]
  result?: WitType
}

export interface Interface {
  /** As in the binary: `package:name/interface`, with `@version` where there is one. */
  id: string
  doc?: string
  /** Definitions of other interfaces, by their names there. */
  uses?: readonly { from: string; names: readonly string[] }[]
  types: readonly Definition[]
  functions: readonly FunctionType[]
}

export const list = (of: WitType): WitType => ({ list: of })
export const option = (of: WitType): WitType => ({ option: of })
export const named = (name: string): WitType => ({ name })
export const result = (ok?: WitType, error?: WitType): WitType => ({
  result: { ...(ok === undefined ? {} : { ok }), ...(error === undefined ? {} : { error }) },
})

const typeText = (type: WitType): string => {
  if (typeof type === 'string') return type
  if ('list' in type) return `list<${typeText(type.list)}>`
  if ('option' in type) return `option<${typeText(type.option)}>`
  if ('tuple' in type) return `tuple<${type.tuple.map(typeText).join(', ')}>`
  if ('name' in type) return type.name
  if ('own' in type) return type.own
  if ('borrow' in type) return `borrow<${type.borrow}>`
  const { ok, error } = type.result
  if (error === undefined) return ok === undefined ? 'result' : `result<${typeText(ok)}>`
  return `result<${ok === undefined ? '_' : typeText(ok)}, ${typeText(error)}>`
}

/** Documentation comments; a text's own line ends stay. */
const docLines = (doc: string | undefined, indent: string): string[] =>
  (doc ?? '')
    .split(/\r?\n|\r/)
    .filter(Boolean)
    .map(
      (line) =>
        `${indent}/// ${line.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, ' ')}`,
    )

function definitionText(definition: Definition): string[] {
  const head = docLines(definition.doc, '  ')
  const member = ({ name, type, doc }: Case, mark: string): string[] => [
    ...docLines(doc, '    '),
    `    ${name}${type === undefined ? '' : mark === ':' ? `: ${typeText(type)}` : `(${typeText(type)})`},`,
  ]
  if ('resource' in definition) return [...head, `  resource ${definition.name};`]
  if ('enum' in definition) {
    return [...head, `  enum ${definition.name} {`, ...definition.enum.map((name) => `    ${name},`), '  }']
  }
  if ('record' in definition) {
    return [...head, `  record ${definition.name} {`, ...definition.record.flatMap((f) => member(f, ':')), '  }']
  }
  return [...head, `  variant ${definition.name} {`, ...definition.variant.flatMap((c) => member(c, '(')), '  }']
}

function functionText({ name, doc, params, result: answer }: FunctionType): string[] {
  const list = params.map((p) => `${p.name}: ${typeText(p.type)}`).join(', ')
  return [...docLines(doc, '  '), `  ${name}: func(${list})${answer === undefined ? '' : ` -> ${typeText(answer)}`};`]
}

/** A package of one interface and the world that exports it. Interfaces that use others are not written. */
export function witText(face: Interface, world: { name: string; doc?: string }): string {
  const [pack = '', name = ''] = face.id.split('/')
  const parts = [...face.types.map(definitionText), ...face.functions.map(functionText)]
  return [
    `package ${pack};`,
    '',
    ...docLines(face.doc, ''),
    `interface ${name} {`,
    parts.map((lines) => lines.join('\n')).join('\n\n'),
    '}',
    '',
    ...docLines(world.doc, ''),
    `world ${world.name} {`,
    `  export ${name};`,
    '}',
    '',
  ].join('\n')
}
