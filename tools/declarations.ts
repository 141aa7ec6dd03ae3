/**
 * Declarations of the public surface: tsc writes one file a module, kept are the files, and in them the declarations,
 * that the entry points' exports name. Imports end in `.js`, which every resolution of TypeScript reads.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'

const SPECIFIER = /(\bfrom |\bimport\()(['"])(\.[^'"]+)\.ts\2/g

/** A name of a module: its declaration, or where the module has it from. */
interface From {
  path: string
  /** Undefined: all that the other module exports. */
  name: string | undefined
}

/** A file of declarations, and which of its names are asked for. */
class Declarations {
  readonly text: string
  readonly source: ts.SourceFile
  readonly needed = new Set<string>()
  private readonly path: string
  private readonly declared = new Map<string, ts.Statement[]>()
  private readonly imported = new Map<string, From>()

  constructor(path: string) {
    this.path = path
    this.text = readFileSync(path, 'utf8')
    this.source = ts.createSourceFile(path, this.text, ts.ScriptTarget.Latest, true)
    for (const statement of this.source.statements) this.take(statement)
  }

  private take(statement: ts.Statement): void {
    for (const name of namesOf(statement)) this.declared.set(name, [...(this.declared.get(name) ?? []), statement])
    const from = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) ? this.target(statement) : ''
    if (!from) return
    for (const { name, propertyName } of bindings(statement)) {
      this.imported.set(name.text, { path: from, name: (propertyName ?? name).text })
    }
  }

  /** The file that an import or export names; empty for packages and for exports of its own. */
  target({ moduleSpecifier }: ts.ImportDeclaration | ts.ExportDeclaration): string {
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier)) return ''
    const { text } = moduleSpecifier
    return text.startsWith('.') ? resolve(dirname(this.path), text.replace(/\.ts$/, '.d.ts')) : ''
  }

  /** Files whose exports this one passes on, all of them. */
  get stars(): string[] {
    return this.source.statements
      .filter((s) => ts.isExportDeclaration(s))
      .filter((s) => !s.exportClause)
      .map((s) => this.target(s))
  }

  /** Names that others can ask for. */
  get exported(): string[] {
    return this.source.statements.flatMap((s) => {
      if (ts.isExportDeclaration(s)) return bindings(s).map(({ name }) => name.text)
      return isExported(s) ? namesOf(s) : []
    })
  }

  /** What a name stands on, once it is asked for. */
  uses(name: string): From[] {
    const here = (this.declared.get(name) ?? []).flatMap((statement) => this.usesOf(statement))
    const there = this.imported.get(name)
    return there ? [...here, there] : here
  }

  private usesOf(statement: ts.Statement): From[] {
    const found: From[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node) && (this.declared.has(node.text) || this.imported.has(node.text))) {
        found.push({ path: this.path, name: node.text })
      }
      if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
        const specifier = (node.argument.literal as ts.StringLiteral).text
        const path = resolve(dirname(this.path), specifier.replace(/\.ts$/, '.d.ts'))
        const first = node.qualifier?.getText().split('.')[0]
        if (specifier.startsWith('.')) found.push({ path, name: first })
      }
      ts.forEachChild(node, visit)
    }
    visit(statement)
    return found
  }

  /** The file with what is needed of it. */
  written(files: ReadonlyMap<string, Declarations>): string {
    const directives = this.text.match(/^\/\/\/ <reference .*$/gm) ?? []
    const statements = this.source.statements.flatMap((s): string[] => {
      if (ts.isImportDeclaration(s) || ts.isExportDeclaration(s)) return this.binding(s, files)
      const names = namesOf(s)
      const keeps = names.length === 0 || names.some((name) => this.needed.has(name))
      return keeps
        ? [
            s
              .getFullText()
              .replace(/^\/\/\/ <reference .*\n?/gm, '')
              .trim(),
          ]
        : []
    })
    const lines = [...directives, ...statements]
    const isModule = statements.some((s) => /^(\/\*[^]*?\*\/\s*)*(export|import)\b/.test(s))
    return `${[...lines, ...(isModule ? [] : ['export {};'])].join('\n')}\n`.replace(SPECIFIER, '$1$2$3.js$2')
  }

  /** An import or export with the names that are needed. */
  private binding(
    statement: ts.ImportDeclaration | ts.ExportDeclaration,
    files: ReadonlyMap<string, unknown>,
  ): string[] {
    const path = this.target(statement)
    const all = bindings(statement)
    if (all.length === 0) return path === '' || files.has(path) ? [statement.getText()] : []
    const kept = all.filter(({ name }) => this.needed.has(name.text))
    if (kept.length === 0) return []
    const names = kept.map((k) => k.getText()).join(', ')
    return [statement.getText().replace(/\{[^}]*\}/, `{ ${names} }`)]
  }
}

/** The names in the braces of an import or export. */
function bindings(
  statement: ts.Statement,
): readonly (ts.ImportSpecifier | (ts.ExportSpecifier & { name: ts.Identifier }))[] {
  if (ts.isImportDeclaration(statement)) {
    const named = statement.importClause?.namedBindings
    return named && ts.isNamedImports(named) ? named.elements : []
  }
  if (!ts.isExportDeclaration(statement)) return []
  const { exportClause } = statement
  return exportClause && ts.isNamedExports(exportClause)
    ? (exportClause.elements as unknown as (ts.ExportSpecifier & { name: ts.Identifier })[])
    : []
}

/** The names that a statement declares. */
function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map((d) => d.name.getText())
  const { name } = statement as { name?: ts.Node }
  return name && ts.isIdentifier(name) ? [name.text] : []
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  (ts.getModifiers(statement) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

/** The files that these entries' exports reach, with what they need of each. */
function reached(entries: readonly string[]): Map<string, Declarations> {
  const files = new Map<string, Declarations>()
  const file = (path: string): Declarations => {
    const known = files.get(path) ?? new Declarations(path)
    files.set(path, known)
    return known
  }
  const need = ({ path, name }: From): void => {
    const of = file(path)
    if (name === undefined) {
      for (const each of of.exported) need({ path, name: each })
      for (const star of of.stars) need({ path: star, name: undefined })
      return
    }
    if (of.needed.has(name)) return
    of.needed.add(name)
    for (const use of of.uses(name)) need(use)
  }
  for (const path of entries) need({ path, name: undefined })
  return files
}

/**
 * Deletes the declarations below `dist` that no entry point reaches, and writes the others again below `dist/cjs`, as
 * those of CommonJS modules: TypeScript lets `require` see no others.
 */
export function pruneDeclarations(dist: string, entries: readonly string[]): void {
  const files = reached(entries.map((entry) => join(dist, `${entry}.d.ts`)))
  const texts = [...files].map(([path, of]) => [path, of.written(files)] as const)
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) visit(path)
      else if (entry.name.endsWith('.d.ts') && !files.has(path)) rmSync(path)
    }
    if (readdirSync(folder).length === 0) rmdirSync(folder)
  }
  visit(dist)
  for (const [path, text] of texts) {
    const twin = join(dist, 'cjs', relative(dist, path))
    mkdirSync(dirname(twin), { recursive: true })
    writeFileSync(path, text)
    writeFileSync(twin, text)
  }
  writeFileSync(join(dist, 'cjs/package.json'), '{ "type": "commonjs" }\n')
}
