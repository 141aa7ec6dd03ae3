import tseslint from 'typescript-eslint'

/**
 * What the compiler and the formatter do not see. Kernels in assembly/ are AssemblyScript: decorators on functions and
 * `v128` are not TypeScript, so the rules there are those that need no types.
 */
const style = {
  'prefer-const': 'error',
  'no-var': 'error',
  'object-shorthand': 'error',
  'no-multi-assign': 'error',
  'no-sequences': ['error', { allowInParentheses: false }],
  'one-var': ['error', { initialized: 'never' }],
  'max-params': ['error', 4],
  eqeqeq: 'error',
  curly: ['error', 'multi-line'],
  'max-len': [
    'error',
    { code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true },
  ],
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
}

export default tseslint.config(
  {
    ignores: [
      'build/',
      'dist/',
      'src/generated/',
      'test/fixtures/',
      'test/consumers/next/app/',
      'weights/',
      '**/node_modules/',
    ],
  },
  {
    files: ['**/*.ts'],
    ignores: ['assembly/**'],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      ...style,
      'max-params': 'off',
      '@typescript-eslint/max-params': ['error', { max: 4 }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-unnecessary-type-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
    },
  },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'tools/**/*.ts'],
    rules: { 'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }] },
  },
  {
    files: ['bench/**', 'test/**', 'tools/**'],
    rules: { '@typescript-eslint/no-explicit-any': 'off' },
  },
  {
    files: ['assembly/**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { allowInvalidAST: true, projectService: false } },
    linterOptions: { reportUnusedDisableDirectives: 'off' },
    rules: { ...style, eqeqeq: 'off', 'max-params': 'off' },
  },
)
