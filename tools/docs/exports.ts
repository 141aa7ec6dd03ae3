/** What the package's entry points export, with its words and examples: for tests and for the API reference. */
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Entry points by the name that their file has in src/ and dist/. */
export const ENTRIES = ['node', 'browser', 'workerd', 'vision', 'serve', 'quantize'] as const

export interface Export {
  entry: string
  name: string
  kind: 'function' | 'class' | 'value' | 'type'
  /** Where it is declared, below the repository's root. */
  file: string
  /** The docstring's text without its tags; empty without one. */
  words: string
  /** Texts of `@example`, in order. */
  examples: string[]
}

export interface Example {
  /** `node` runs as it is; `page` and `worker` need another host. */
  host: 'node' | 'page' | 'worker'
  code: string
}

const HOSTS = ['page', 'worker'] as const

/** The examples of an export. */
export const examplesOf = ({ examples }: Export): Example[] =>
  examples.map((text) => {
    const [first = '', ...rest] = text.split('\n')
    const host = HOSTS.find((h) => h === first.trim())
    return host ? { host, code: rest.join('\n') } : { host: 'node', code: text }
  })

function kindOf(symbol: ts.Symbol): Export['kind'] {
  if (symbol.flags & ts.SymbolFlags.Class) return 'class'
  if (symbol.flags & ts.SymbolFlags.Function) return 'function'
  return symbol.flags & ts.SymbolFlags.Value ? 'value' : 'type'
}

/** All exports, in the order of entry points and names. `virtual`: sources to read instead, by name (tests). */
export function publicExports(virtual?: Readonly<Record<string, string>>): Export[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: [],
  }
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile.bind(host)
  if (virtual) {
    host.getSourceFile = (name, version) =>
      virtual[name] === undefined ? read(name, version) : ts.createSourceFile(name, virtual[name], version)
    host.fileExists = (name) => name in virtual || ts.sys.fileExists(name)
  }
  const files = virtual ? Object.keys(virtual) : ENTRIES.map((entry) => join(root, `src/${entry}.ts`))
  const program = ts.createProgram(files, options, host)
  const checker = program.getTypeChecker()
  return files.flatMap((path) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(path)!)
    const entry = path.replace(/^.*\//, '').replace(/\.ts$/, '')
    return checker
      .getExportsOfModule(module!)
      .map((exported): Export => {
        const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
        const tags = symbol.getJsDocTags(checker).filter((tag) => tag.name === 'example')
        return {
          entry,
          name: exported.name,
          kind: kindOf(symbol),
          file: relative(root, symbol.declarations?.[0]?.getSourceFile().fileName ?? path),
          words: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim(),
          examples: tags.map((tag) => ts.displayPartsToString(tag.text).trim()),
        }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  })
}
