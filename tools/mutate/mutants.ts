/**
 * Where a source may be changed, and how: operators, bounds, literals, conditions, statements, returned values. All
 * mutants of a file are compiled into it at once, each behind a comparison with the number of the active one.
 *
 * Mutants that provably compute what the original does are marked by rule, `EQUIVALENT`; no list names single ones.
 */
import ts from 'typescript'

export interface Mutant {
  id: number
  file: string
  line: number
  /** What it does, e.g. `a < b` to `a <= b`. */
  from: string
  to: string
  /** The whole line, for reports. */
  text: string
  /** Why no test can tell it from the original. */
  equivalent?: string
}

/**
 * The rules. `extreme`: in `if (a < b) b = a` and in `a < b ? a : b`, for `<`, `<=`, `>`, `>=`, whichever side is
 * which: the strict and the other comparison differ where a equals b alone, and there both ways leave the same number.
 * Both sides must be plain reads. A condition joined to it by `&&` changes nothing in that.
 */
const EQUIVALENT = { extreme: 'decides between two numbers that are equal then' } as const

const STRICTNESS: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.LessThanToken]: '<=',
  [ts.SyntaxKind.LessThanEqualsToken]: '<',
  [ts.SyntaxKind.GreaterThanToken]: '>=',
  [ts.SyntaxKind.GreaterThanEqualsToken]: '>',
}

/** The node without parentheses, `!` and types; undefined unless it only reads. */
function plainRead(node: ts.Expression, tree: ts.SourceFile): string | undefined {
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node) || ts.isAsExpression(node)) {
    return plainRead(node.expression, tree)
  }
  if (ts.isIdentifier(node) || ts.isNumericLiteral(node) || node.kind === ts.SyntaxKind.ThisKeyword) {
    return node.getText(tree)
  }
  if (ts.isPropertyAccessExpression(node)) {
    const of = plainRead(node.expression, tree)
    return of && `${of}.${node.name.text}`
  }
  if (ts.isElementAccessExpression(node)) {
    const [of, index] = [plainRead(node.expression, tree), plainRead(node.argumentExpression, tree)]
    return of && index && `${of}[${index}]`
  }
  if (ts.isBinaryExpression(node) && /^[-+*]$/.test(node.operatorToken.getText(tree))) {
    const [a, b] = [plainRead(node.left, tree), plainRead(node.right, tree)]
    return a && b && `(${a}${node.operatorToken.getText(tree)}${b})`
  }
  return undefined
}

/** Whether a comparison does nothing but choose between its own two sides. */
function choosesExtreme(node: ts.BinaryExpression, tree: ts.SourceFile): boolean {
  const [left, right] = [plainRead(node.left, tree), plainRead(node.right, tree)]
  if (left === undefined || right === undefined) return false
  const sides = (a: ts.Expression, b: ts.Expression): boolean => {
    const [one, other] = [plainRead(a, tree), plainRead(b, tree)]
    return (one === left && other === right) || (one === right && other === left)
  }
  let top: ts.Node = node
  while (
    ts.isParenthesizedExpression(top.parent) ||
    (ts.isBinaryExpression(top.parent) && top.parent.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken)
  ) {
    top = top.parent
  }
  const { parent } = top
  if (ts.isConditionalExpression(parent) && parent.condition === top) return sides(parent.whenTrue, parent.whenFalse)
  if (!ts.isIfStatement(parent) || parent.expression !== top || parent.elseStatement) return false
  const block = parent.thenStatement
  const only = ts.isBlock(block) && block.statements.length === 1 ? block.statements[0]! : block
  return (
    ts.isExpressionStatement(only) &&
    ts.isBinaryExpression(only.expression) &&
    only.expression.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
    sides(only.expression.left, only.expression.right)
  )
}

const OPERATORS: Partial<Record<ts.SyntaxKind, readonly string[]>> = {
  [ts.SyntaxKind.PlusToken]: ['-'],
  [ts.SyntaxKind.MinusToken]: ['+'],
  [ts.SyntaxKind.AsteriskToken]: ['/'],
  [ts.SyntaxKind.SlashToken]: ['*'],
  [ts.SyntaxKind.PercentToken]: ['*'],
  [ts.SyntaxKind.AsteriskAsteriskToken]: ['*'],
  [ts.SyntaxKind.LessThanLessThanToken]: ['>>'],
  [ts.SyntaxKind.GreaterThanGreaterThanToken]: ['<<'],
  [ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken]: ['<<'],
  [ts.SyntaxKind.AmpersandToken]: ['|'],
  [ts.SyntaxKind.BarToken]: ['&'],
  [ts.SyntaxKind.CaretToken]: ['&'],
  [ts.SyntaxKind.LessThanToken]: ['<=', '>='],
  [ts.SyntaxKind.LessThanEqualsToken]: ['<', '>'],
  [ts.SyntaxKind.GreaterThanToken]: ['>=', '<='],
  [ts.SyntaxKind.GreaterThanEqualsToken]: ['>', '<'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: ['!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: ['==='],
  [ts.SyntaxKind.AmpersandAmpersandToken]: ['||'],
  [ts.SyntaxKind.BarBarToken]: ['&&'],
  [ts.SyntaxKind.QuestionQuestionToken]: ['&&'],
  [ts.SyntaxKind.PlusEqualsToken]: ['-='],
  [ts.SyntaxKind.MinusEqualsToken]: ['+='],
  [ts.SyntaxKind.AsteriskEqualsToken]: ['/='],
  [ts.SyntaxKind.SlashEqualsToken]: ['*='],
  [ts.SyntaxKind.BarEqualsToken]: ['&='],
  [ts.SyntaxKind.AmpersandEqualsToken]: ['|='],
  [ts.SyntaxKind.CaretEqualsToken]: ['|='],
  [ts.SyntaxKind.LessThanLessThanEqualsToken]: ['>>='],
  [ts.SyntaxKind.GreaterThanGreaterThanEqualsToken]: ['<<='],
}

const COMPARED = new Set([ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken])

interface Edit {
  from: number
  to: number
  text: string
}

/** `run` lets the active mutant act, `cover` marks which are reached. */
export type Mode = 'run' | 'cover'

const short = (text: string): string => {
  const flat = text.replace(/\s+/g, ' ')
  return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat
}

/** Whether a `+` or `+=` joins texts. */
function joinsTexts({ left, right, operatorToken: { kind } }: ts.BinaryExpression): boolean {
  const text = (n: ts.Node): boolean => ts.isStringLiteralLike(n) || ts.isTemplateExpression(n)
  return (kind === ts.SyntaxKind.PlusToken || kind === ts.SyntaxKind.PlusEqualsToken) && (text(left) || text(right))
}

/** What is left as it is: types, what a module takes and gives, and what errors say, which is for people. */
function isLeft(node: ts.Node, tree: ts.SourceFile): boolean {
  return (
    ts.isTypeNode(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    (ts.isNewExpression(node) && /Error$/.test(node.expression.getText(tree)))
  )
}

/** What a literal is instead, or undefined where the node is none that is changed. */
function otherLiteral(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.TrueKeyword) return 'false'
  if (node.kind === ts.SyntaxKind.FalseKeyword) return 'true'
  if (!ts.isNumericLiteral(node)) return undefined
  const value = Number(node.text.replaceAll('_', ''))
  return value === 0 ? '1' : `${value + 1}`
}

const DROPPED_SIGNS = [ts.SyntaxKind.ExclamationToken, ts.SyntaxKind.MinusToken, ts.SyntaxKind.TildeToken]

/** What is mutated: a source, its name, the first mutant's number. */
interface Subject {
  source: string
  file: string
  first: number
  mode: Mode
}

/** Walks a source, and gathers its mutants and the edits that put them in. */
class Mutation {
  readonly mutants: Mutant[] = []
  private readonly of: Subject
  private readonly tree: ts.SourceFile
  private readonly lines: string[]
  private readonly edits: Edit[] = []
  /** Numbers of mutants that are known to be equivalent, and why. */
  private readonly alike = new Map<number, string>()

  constructor(of: Subject) {
    this.of = of
    this.tree = ts.createSourceFile(of.file, of.source, ts.ScriptTarget.ES2022, true)
    this.lines = of.source.split('\n')
    this.walk(this.tree)
  }

  /** The source with all of its mutants. */
  code(): string {
    const { source } = this.of
    let code = ''
    let at = 0
    for (const e of this.edits.map((e, i) => ({ ...e, i })).sort((a, b) => a.from - b.from || a.i - b.i)) {
      code += source.slice(at, e.from) + e.text
      at = Math.max(at, e.to)
    }
    return code + source.slice(at)
  }

  private put(at: number, text: string): void {
    this.edits.push({ from: at, to: at, text })
  }

  private raw(node: ts.Node): string {
    return this.of.source.slice(node.getStart(this.tree), node.end)
  }

  /** The number of the next mutant. */
  private next(): number {
    return this.of.first + this.mutants.length
  }

  private add(node: ts.Node, from: string, to: string): number {
    const { line } = this.tree.getLineAndCharacterOfPosition(node.getStart(this.tree))
    const id = this.next()
    const equivalent = this.alike.get(id)
    this.mutants.push({
      id,
      file: this.of.file,
      line: line + 1,
      from: short(from),
      to: short(to),
      text: this.lines[line]!.trim(),
      ...(equivalent ? { equivalent } : {}),
    })
    return id
  }

  /** `node` or one of `others`; `inside` goes on within it. */
  private instead(node: ts.Node, others: readonly string[], inside?: () => void, shown = others): void {
    const ids = shown.map((to) => this.add(node, this.raw(node), to))
    this.put(
      node.getStart(this.tree),
      this.of.mode === 'run'
        ? `(${others.map((to, i) => `__a===${ids[i]}?(${to}):`).join('')}(`
        : `(${ids.map((id) => `__h[${id}]=1`).join()},(`,
    )
    inside?.()
    this.put(node.end, '))')
  }

  private statement(node: ts.Statement): void {
    const id = this.add(node, this.raw(node), 'nothing')
    this.put(node.getStart(this.tree), this.of.mode === 'run' ? `{if(__a!==${id}){` : `{__h[${id}]=1;{`)
    this.visit(node)
    this.put(node.end, '}}')
  }

  private condition(node: ts.Expression): void {
    this.instead(node, ['true', 'false'], () => this.walk(node))
  }

  private binary(node: ts.BinaryExpression): void {
    const { left, right, operatorToken } = node
    const swaps = OPERATORS[operatorToken.kind]
    if (!swaps || joinsTexts(node)) {
      this.visit(node)
      return
    }
    const [a, b] = [this.raw(left), this.raw(right)]
    const shown = swaps.map((op) => `${a} ${op} ${b}`)
    const assigns =
      operatorToken.kind >= ts.SyntaxKind.FirstCompoundAssignment &&
      operatorToken.kind <= ts.SyntaxKind.LastCompoundAssignment
    const strictness = STRICTNESS[operatorToken.kind]
    const at = strictness && choosesExtreme(node, this.tree) ? swaps.indexOf(strictness) : -1
    if (at >= 0) this.alike.set(this.next() + at, EQUIVALENT.extreme)
    const inside = (): void => {
      if (!assigns) this.walk(left)
      // Strings only where something is compared with them.
      if (COMPARED.has(operatorToken.kind) && ts.isStringLiteral(right)) this.instead(right, [`'~'`])
      else this.walk(right)
    }
    const written = swaps.map((op) => `${assigns ? a : `(${a})`} ${op} (${b})`)
    this.instead(node, written, inside, shown)
  }

  /** Conditions and loops; false where the node is neither. */
  private branch(node: ts.Node): boolean {
    if (ts.isIfStatement(node)) {
      this.condition(node.expression)
      this.walk(node.thenStatement)
      if (node.elseStatement) this.walk(node.elseStatement)
    } else if (ts.isConditionalExpression(node)) {
      this.condition(node.condition)
      this.walk(node.whenTrue)
      this.walk(node.whenFalse)
    } else if (ts.isForStatement(node)) {
      // The step is left alone: without it a loop has no end.
      if (node.initializer) this.walk(node.initializer)
      if (node.condition) this.walk(node.condition)
      this.walk(node.statement)
    } else return false
    return true
  }

  /** Statements that can be left out, and what functions return; false where the node is neither. */
  private step(node: ts.Node): boolean {
    if (ts.isExpressionStatement(node) || ts.isThrowStatement(node) || ts.isContinueStatement(node)) {
      this.statement(node)
    } else if (ts.isBreakStatement(node)) {
      if (!ts.isCaseOrDefaultClause(node.parent)) this.statement(node)
    } else if (ts.isReturnStatement(node) && node.expression && !ts.isVoidExpression(node.expression)) {
      const { expression } = node
      // Where truth is asked for, `undefined` is `false`, whose own mutant is `true`.
      if (/^(undefined|false)$/.test(this.raw(expression))) this.walk(expression)
      else this.instead(expression, ['undefined'], () => this.walk(expression))
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) this.arrow(node, node.body)
    else return false
    return true
  }

  /** An arrow that returns an expression; those that only refuse are left as they are. */
  private arrow(node: ts.ArrowFunction, body: ts.Expression): void {
    node.parameters.forEach((parameter) => this.walk(parameter))
    const shown = ts.isParenthesizedExpression(body) ? body.expression : body
    const refuses =
      ts.isCallExpression(shown) && /^(fail|bad|refuse|unsupported|damaged)$/.test(shown.expression.getText(this.tree))
    if (!refuses) this.instead(body, ['undefined'], () => this.walk(body))
  }

  private visit(node: ts.Node): void {
    ts.forEachChild(node, (child) => this.walk(child))
  }

  private walk(node: ts.Node): void {
    if (isLeft(node, this.tree)) return
    const literal = otherLiteral(node)
    if (literal !== undefined) this.instead(node, [literal])
    else if (ts.isBinaryExpression(node)) this.binary(node)
    else if (ts.isPrefixUnaryExpression(node) && DROPPED_SIGNS.includes(node.operator)) {
      this.instead(node, [this.raw(node.operand)], () => this.walk(node.operand))
    } else if (ts.isPropertyAssignment(node)) this.walk(node.initializer)
    else if (!this.branch(node) && !this.step(node)) this.visit(node)
  }
}

/**
 * The mutants of a source, numbered from `first` on, and the source that holds them all. Sentences of errors are not
 * changed, nor is what only types say.
 */
export function mutate(source: string, file: string, first: number, mode: Mode): { mutants: Mutant[]; code: string } {
  const mutation = new Mutation({ source, file, first, mode })
  return { mutants: mutation.mutants, code: mutation.code() }
}
