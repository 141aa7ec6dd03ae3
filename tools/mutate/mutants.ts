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

/**
 * The mutants of a source, numbered from `first` on, and the source that holds them all. Sentences of errors are not
 * changed, nor is what only types say.
 */
export function mutate(source: string, file: string, first: number, mode: Mode): { mutants: Mutant[]; code: string } {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ES2022, true)
  const lines = source.split('\n')
  const mutants: Mutant[] = []
  const edits: Edit[] = []
  /** Numbers of mutants that are known to be equivalent, and why. */
  const alike = new Map<number, string>()
  const put = (at: number, text: string): void => void edits.push({ from: at, to: at, text })
  const raw = (node: ts.Node): string => source.slice(node.getStart(tree), node.end)
  const short = (text: string): string => {
    const flat = text.replace(/\s+/g, ' ')
    return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat
  }
  const add = (node: ts.Node, from: string, to: string): number => {
    const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
    const id = first + mutants.length
    const equivalent = alike.get(id)
    mutants.push({
      id,
      file,
      line: line + 1,
      from: short(from),
      to: short(to),
      text: lines[line]!.trim(),
      ...(equivalent ? { equivalent } : {}),
    })
    return id
  }
  /** `node` or one of `others`; `inside` goes on within it. */
  const instead = (node: ts.Node, others: readonly string[], inside: () => void, shown?: readonly string[]): void => {
    const ids = others.map((to, i) => add(node, raw(node), shown?.[i] ?? to))
    put(
      node.getStart(tree),
      mode === 'run'
        ? `(${others.map((to, i) => `__a===${ids[i]}?(${to}):`).join('')}(`
        : `(${ids.map((id) => `__h[${id}]=1`).join()},(`,
    )
    inside()
    put(node.end, '))')
  }
  const statement = (node: ts.Statement, inside: () => void): void => {
    const id = add(node, raw(node), 'nothing')
    put(node.getStart(tree), mode === 'run' ? `{if(__a!==${id}){` : `{__h[${id}]=1;{`)
    inside()
    put(node.end, '}}')
  }
  const visit = (node: ts.Node): void => ts.forEachChild(node, walk)
  const condition = (node: ts.Expression): void => instead(node, ['true', 'false'], () => walk(node))

  function binary(node: ts.BinaryExpression): void {
    const { left, right, operatorToken } = node
    const text = (n: ts.Node): boolean => ts.isStringLiteralLike(n) || ts.isTemplateExpression(n)
    const swaps = OPERATORS[operatorToken.kind]
    if (
      !swaps ||
      ((operatorToken.kind === ts.SyntaxKind.PlusToken || operatorToken.kind === ts.SyntaxKind.PlusEqualsToken) &&
        (text(left) || text(right)))
    ) {
      visit(node)
      return
    }
    const others = swaps.map((op) => `(${raw(left)}) ${op} (${raw(right)})`)
    const shown = swaps.map((op) => `${raw(left)} ${op} ${raw(right)}`)
    const assigns =
      operatorToken.kind >= ts.SyntaxKind.FirstCompoundAssignment &&
      operatorToken.kind <= ts.SyntaxKind.LastCompoundAssignment
    const strictness = STRICTNESS[operatorToken.kind]
    const at = strictness && choosesExtreme(node, tree) ? swaps.indexOf(strictness) : -1
    if (at >= 0) alike.set(first + mutants.length + at, EQUIVALENT.extreme)
    const written = assigns ? swaps.map((op) => `${raw(left)} ${op} (${raw(right)})`) : others
    instead(
      node,
      written,
      () => {
        if (!assigns) walk(left)
        // Strings only where something is compared with them.
        if (COMPARED.has(operatorToken.kind) && ts.isStringLiteral(right)) instead(right, [`'~'`], () => {})
        else walk(right)
      },
      shown,
    )
  }

  function walk(node: ts.Node): void {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isEnumDeclaration(node)) return
    // What an error says is for people.
    if (ts.isNewExpression(node) && /Error$/.test(node.expression.getText(tree))) return
    if (ts.isBinaryExpression(node)) binary(node)
    else if (ts.isNumericLiteral(node)) {
      const value = Number(node.text.replaceAll('_', ''))
      instead(node, [value === 0 ? '1' : `${value + 1}`], () => {})
    } else if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword) {
      instead(node, [node.kind === ts.SyntaxKind.TrueKeyword ? 'false' : 'true'], () => {})
    } else if (
      ts.isPrefixUnaryExpression(node) &&
      [ts.SyntaxKind.ExclamationToken, ts.SyntaxKind.MinusToken, ts.SyntaxKind.TildeToken].includes(node.operator)
    ) {
      instead(node, [raw(node.operand)], () => walk(node.operand))
    } else if (ts.isIfStatement(node)) {
      condition(node.expression)
      walk(node.thenStatement)
      if (node.elseStatement) walk(node.elseStatement)
    } else if (ts.isConditionalExpression(node)) {
      condition(node.condition)
      walk(node.whenTrue)
      walk(node.whenFalse)
    } else if (ts.isForStatement(node)) {
      // The step is left alone: without it a loop has no end.
      if (node.initializer) walk(node.initializer)
      if (node.condition) walk(node.condition)
      walk(node.statement)
    } else if (ts.isExpressionStatement(node)) {
      statement(node, () => visit(node))
    } else if (ts.isThrowStatement(node) || ts.isBreakStatement(node) || ts.isContinueStatement(node)) {
      if (ts.isBreakStatement(node) && ts.isCaseOrDefaultClause(node.parent)) return
      statement(node, () => visit(node))
    } else if (ts.isReturnStatement(node) && node.expression && !ts.isVoidExpression(node.expression)) {
      const { expression } = node
      // Where truth is asked for, `undefined` is `false`, whose own mutant is `true`.
      if (/^(undefined|false)$/.test(raw(expression))) {
        walk(expression)
        return
      }
      instead(expression, ['undefined'], () => walk(expression))
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
      node.parameters.forEach(walk)
      const { body } = node
      const shownBody = ts.isParenthesizedExpression(body) ? body.expression : body
      if (
        ts.isCallExpression(shownBody) &&
        /^(fail|bad|refuse|unsupported|damaged)$/.test(shownBody.expression.getText(tree))
      ) {
        return
      }
      instead(body, ['undefined'], () => walk(body))
    } else if (ts.isPropertyAssignment(node)) walk(node.initializer)
    else visit(node)
  }
  walk(tree)
  let code = ''
  let at = 0
  for (const e of edits.map((e, i) => ({ ...e, i })).sort((a, b) => a.from - b.from || a.i - b.i)) {
    code += source.slice(at, e.from) + e.text
    at = Math.max(at, e.to)
  }
  return { mutants, code: code + source.slice(at) }
}
