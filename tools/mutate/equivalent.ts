/** Mutants that no test can tell from the original, and why. They are counted apart, not as killed. */
export interface Equivalent {
  file: string
  /** The source line, trimmed. */
  text: string
  from: string
  to: string
  why: string
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: 'src/image/resize.ts',
    text: 'return windowTaps(from, count, Math.ceil(scale) + 2, (i) => areaTaps(i, scale, inSize))',
    from: '2',
    to: '3',
    why: 'room for one weight more than there are; nothing reads it',
  },
]
