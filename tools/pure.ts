/**
 * Tells bundlers what `"sideEffects": false` promises, statement by statement: the bundled files hold many modules
 * each.
 */
import ts from 'typescript'

/** Expressions that bundlers themselves know to do nothing but give a value. */
function isPlain(e: ts.Node): boolean {
  if (
    ts.isParenthesizedExpression(e) ||
    ts.isAsExpression(e) ||
    ts.isSatisfiesExpression(e) ||
    ts.isNonNullExpression(e)
  ) {
    return isPlain(e.expression)
  }
  if (ts.isPrefixUnaryExpression(e)) return isPlain(e.operand)
  if (ts.isArrayLiteralExpression(e)) return e.elements.every(isPlain)
  if (ts.isObjectLiteralExpression(e)) {
    return e.properties.every(
      (p) =>
        !(p.name && ts.isComputedPropertyName(p.name)) &&
        (ts.isPropertyAssignment(p) ? isPlain(p.initializer) : !ts.isSpreadAssignment(p)),
    )
  }
  return (
    ts.isLiteralExpression(e) ||
    ts.isIdentifier(e) ||
    ts.isFunctionLike(e) ||
    ts.isClassExpression(e) ||
    ts.isOmittedExpression(e) ||
    [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(e.kind)
  )
}

/**
 * The module's source with every other initializer of a top-level constant marked: it may go where nobody reads the
 * constant.
 */
export function markPure(path: string, source: string): string {
  const parts: string[] = []
  let done = 0
  for (const statement of ts.createSourceFile(path, source, ts.ScriptTarget.ESNext).statements) {
    if (!ts.isVariableStatement(statement)) continue
    for (const { initializer } of statement.declarationList.declarations) {
      if (!initializer || isPlain(initializer)) continue
      const { pos: from, end: to } = initializer
      parts.push(source.slice(done, from), ' /* @__PURE__ */ (() => (', source.slice(from, to), '))()')
      done = to
    }
  }
  return parts.join('') + source.slice(done)
}
