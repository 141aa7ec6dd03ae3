/** Mutants that no test can tell from the original, and why. They are counted apart, not as killed. */
export interface Equivalent {
  file: string
  /** The source line, trimmed. */
  text: string
  from: string
  to: string
  why: string
}

export const EQUIVALENT: readonly Equivalent[] = []
