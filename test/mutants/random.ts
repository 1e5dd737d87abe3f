/**
 * Mutants that nobody thought of: every small change of the sources, of five kinds, of which a seed
 * draws some. The tests that load the changed file are to notice it, or the compiler.
 */
import { globSync } from 'node:fs'
import path from 'node:path'
import { isStringLiteral } from 'typescript/unstable/ast/is'
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast'
import { API } from 'typescript/unstable/sync'
import type { Bench } from './bench.ts'
import { draw } from '../support/chance.ts'

/** A small change. */
export interface RandomMutant {
  readonly kind: 'condition' | 'comparison' | 'statement' | 'await' | 'number' | 'text'
  readonly file: string
  /** From 1. */
  readonly line: number
  /** What is changed. */
  readonly text: string
  /** The rest of its line that stands before it. */
  readonly before: string
  /** Where in the file: characters from its start. */
  readonly start: number
  readonly end: number
  readonly replace: string
}

/** What clients see of the embedded server. */
const SERVER_TESTS = ['embedded', 'server'].map((name) => `test/contract/${name}.test.ts`)
/** Where mutants are drawn from. */
const SOURCES = 'src/{operator,kube,connect,server}/**/*.ts'

/** Draws mutants. @param root of the project */
export function drawMutants(root: string, count: number, seed: number): RandomMutant[] {
  const api = new API({ cwd: root })
  try {
    const project = path.join(root, 'tsconfig.json')
    const [opened] = api.updateSnapshot({ openProject: project }).getProjects()
    const files = globSync(SOURCES, { cwd: root }).filter((file) => !file.includes('.generated.'))
    const all = files.toSorted().flatMap((file) => {
      const source = opened?.program.getSourceFile(path.join(root, file))
      return source ? changesOf(file, source) : []
    })
    return draw(all, count, { seed, nameOf: lotOf })
  } finally {
    api.close()
  }
}

/** What a mutant is drawn by: not its place, so that changes elsewhere in the file leave it alone. */
function lotOf({ file, kind, text, before }: RandomMutant): string {
  return [file, kind, before, text].join('\0')
}

function changesOf(file: string, source: SourceFile): RandomMutant[] {
  const found: RandomMutant[] = []
  const visit = (node: Node): void => {
    for (const { kind, replace } of changesAt(node, source)) {
      const start = node.getStart(source)
      const lines = source.text.slice(0, start).split('\n')
      const before = (lines.at(-1) ?? '').trimStart()
      const text = source.text.slice(start, node.end)
      found.push({ kind, file, line: lines.length, text, before, start, end: node.end, replace })
    }
    node.forEachChild(visit)
  }
  visit(source)
  return found
}

type Change = Pick<RandomMutant, 'kind' | 'replace'>

const COMPARISONS: Partial<Record<SyntaxKind, string>> = {
  [SyntaxKind.LessThanToken]: '<=',
  [SyntaxKind.LessThanEqualsToken]: '<',
  [SyntaxKind.GreaterThanToken]: '>=',
  [SyntaxKind.GreaterThanEqualsToken]: '>',
  [SyntaxKind.EqualsEqualsEqualsToken]: '!==',
  [SyntaxKind.ExclamationEqualsEqualsToken]: '===',
  [SyntaxKind.AmpersandAmpersandToken]: '||',
  [SyntaxKind.BarBarToken]: '&&',
}

/** Statements without which the rest still makes sense. */
const STATEMENTS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.ExpressionStatement,
  SyntaxKind.IfStatement,
  SyntaxKind.ThrowStatement,
])

function changesAt(node: Node, source: SourceFile): Change[] {
  const text = node.getText(source)
  const other = COMPARISONS[node.kind]
  // In a type `<` and `>` are brackets.
  if (other && node.parent.kind === SyntaxKind.BinaryExpression) {
    return [{ kind: 'comparison', replace: other }]
  }
  if (node.kind === SyntaxKind.AwaitExpression) {
    return [{ kind: 'await', replace: text.replace(/^await\s+/, '') }]
  }
  if (STATEMENTS.has(node.kind)) return [{ kind: 'statement', replace: '{}' }]
  if (isCondition(node)) return [{ kind: 'condition', replace: `!(${text})` }]
  if (node.kind === SyntaxKind.NumericLiteral && node.parent.kind !== SyntaxKind.LiteralType) {
    return [{ kind: 'number', replace: `(${text} * 2 + 1)` }]
  }
  // Sentences are for people, and in types and imports a text is a name.
  const isText = isStringLiteral(node) && node.text !== '' && !node.text.includes(' ')
  if (isText && !NAMING.has(node.parent.kind)) return [{ kind: 'text', replace: "'mutant'" }]
  return []
}

const NAMING: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.LiteralType,
  SyntaxKind.ImportDeclaration,
  SyntaxKind.ExportDeclaration,
])

/** What an if, a loop or a conditional expression asks. */
function isCondition(node: Node): boolean {
  const { parent } = node as { parent?: Node & { expression?: Node; condition?: Node } }
  switch (parent?.kind) {
    case SyntaxKind.IfStatement:
    case SyntaxKind.WhileStatement:
      return parent.expression === node
    case SyntaxKind.ConditionalExpression:
      return parent.condition === node
    default:
      return false
  }
}

/** A random mutant in one line: what stands there, and what is put in its place. */
export function nameOfRandom({ file, line, kind, before, text, replace }: RandomMutant): string {
  const first = (of: string) => of.split('\n', 1)[0]
  const becomes = kind === 'statement' ? 'nothing' : first(replace)
  return `${file}:${line} ${kind}: ${before}[${first(text)}] becomes ${becomes}`
}

/** @param source the file as it is */
export function mutateRandom(source: string, { start, end, replace }: RandomMutant): string {
  return source.slice(0, start) + replace + source.slice(end)
}

/**
 * Tries one: the tests of the same place first, then the compiler, then all unit tests that load
 * the file; of the embedded server also what clients see of it.
 *
 * @returns who noticed it; undefined when nobody did
 */
export async function tryRandom(bench: Bench, mutant: RandomMutant): Promise<string | undefined> {
  const { file } = mutant
  const near = globSync(`test/unit/${file.slice('src/'.length, -'.ts'.length)}{.,.*.}test.ts`, {
    cwd: bench.folder,
  })
  return bench.changed(
    file,
    (source) => mutateRandom(source, mutant),
    async () => {
      const byNear = near.length > 0 ? await noticed(bench, near) : undefined
      if (byNear !== undefined) return byNear
      if (!(await bench.compiles())) return 'the compiler'
      const byUnit = await noticed(bench, ['related', file])
      if (byUnit !== undefined || !file.startsWith('src/server/')) return byUnit
      return noticed(bench, SERVER_TESTS, 'contract')
    },
  )
}

async function noticed(
  bench: Bench,
  options: readonly string[],
  project = 'unit',
): Promise<string | undefined> {
  const { failed, hung } = await bench.run(project, options)
  return failed[0] ?? (hung ? 'a test that never ended' : undefined)
}
