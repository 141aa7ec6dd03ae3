/** Who imports whom in src/, read from the sources by TypeScript's parser. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'
import { FLOORS, type Room } from './layers.ts'

export interface Import {
  /** Paths below src/. */
  from: string
  to: string
}

/**
 * The relative modules that a source names: imports of values and of types, `export … from`, `import()`, type queries.
 */
function specifiers(path: string, text: string): string[] {
  const found: string[] = []
  const add = (node: ts.Node | undefined): void => {
    if (node && ts.isStringLiteralLike(node) && node.text.startsWith('.')) found.push(node.text)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0])
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest))
  return found
}

/** The sources below `src`, by path. `generated/` is what tools/build.ts makes: no one's imports. */
export function sources(src: string): string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts') && !path.startsWith('generated/'))
    .sort()
}

/** All imports between files below `src`. */
export const importsOf = (src: string): Import[] =>
  sources(src).flatMap((from) =>
    specifiers(from, readFileSync(join(src, from), 'utf8')).map((name) => ({
      from,
      to: posix.normalize(posix.join(posix.dirname(from), name)),
    })),
  )

/** Groups of files that reach each other. Tarjan's algorithm. */
export function circles(imports: readonly Import[]): string[][] {
  const next = new Map<string, string[]>()
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to])
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (file: string): void => {
    order.set(file, order.size)
    low.set(file, order.get(file)!)
    stack.push(file)
    for (const to of next.get(file) ?? []) {
      if (!order.has(to)) visit(to)
      if (stack.includes(to)) low.set(file, Math.min(low.get(file)!, low.get(to)!))
    }
    if (low.get(file) !== order.get(file)) return
    const group = stack.splice(stack.indexOf(file))
    if (group.length > 1 || next.get(file)?.includes(file)) found.push(group.sort())
  }
  for (const file of next.keys()) if (!order.has(file)) visit(file)
  return found
}

/** The room that a file is in, and its floor; undefined for a file that the table does not place. */
export function placeOf(file: string): { room: Room; floor: number } | undefined {
  for (const [floor, rooms] of FLOORS.entries()) {
    for (const room of rooms) {
      if (room.holds.some((h) => (h.endsWith('/') ? file.startsWith(h) : file === h))) return { room, floor }
    }
  }
  return undefined
}

/** Imports that go up, or sideways into another room, each as a sentence. */
export const upward = (imports: readonly Import[]): string[] =>
  imports.flatMap(({ from, to }) => {
    const [a, b] = [placeOf(from), placeOf(to)]
    if (!a || !b) return [`${a ? to : from} has no room in tools/arch/layers.ts`]
    return a.room === b.room || b.floor < a.floor ? [] : [`${from} (${a.room.name}) imports ${to} (${b.room.name})`]
  })
