import { expect, test } from 'vitest'
import type { Row } from '../../../../src/status/model.ts'
import {
  answer,
  countStates,
  distinct,
  FIRST_QUESTION,
  type Question,
} from '../../../../src/status/page/list.ts'

const row = (namespace: string, name: string, more: Partial<Row> = {}): Row => ({
  namespace,
  name,
  secret: name,
  state: 'ready',
  reason: 'Synced',
  versions: [1],
  created: 0,
  ...more,
})

const ROWS = [
  row('shop', 'web', { created: 30, versions: [3], changed: 5 }),
  row('shop', 'api', { created: 20, state: 'failed', reason: 'ItemNotFound', versions: [] }),
  row('bank', 'web', { created: 10, state: 'stale', reason: 'ConnectUnreachable', changed: 9 }),
]

const ask = (question: Partial<Question>) =>
  answer(ROWS, { ...FIRST_QUESTION, ...question }).map((one) => `${one.namespace}/${one.name}`)

test.each<[Partial<Question>, string[]]>([
  [{}, ['shop/api', 'bank/web', 'shop/web']],
  [{ search: 'WEB' }, ['bank/web', 'shop/web']],
  [{ search: ' shop  web ' }, ['shop/web']],
  [{ search: 'shop/api' }, ['shop/api']],
  [{ search: 'unreach' }, ['bank/web']],
  [{ search: 'nothing' }, []],
  [{ states: ['failed', 'stale'] }, ['shop/api', 'bank/web']],
  [{ namespace: 'bank' }, ['bank/web']],
  [{ reason: 'Synced', search: 'web' }, ['shop/web']],
  [{ by: 'namespace' }, ['bank/web', 'shop/api', 'shop/web']],
  [{ by: 'name', descending: true }, ['bank/web', 'shop/web', 'shop/api']],
  [{ by: 'version' }, ['shop/api', 'bank/web', 'shop/web']],
  // By age: the youngest first.
  [{ by: 'age' }, ['shop/web', 'shop/api', 'bank/web']],
  [{ by: 'changed' }, ['bank/web', 'shop/web', 'shop/api']],
  [{ by: 'reason', descending: true }, ['shop/web', 'shop/api', 'bank/web']],
])('%j is answered by %j', (question, wanted) => {
  expect(ask(question)).toEqual(wanted)
})

test('states are counted, and texts listed once', () => {
  expect(countStates(ROWS)).toEqual({ failed: 1, pending: 0, stale: 1, restarting: 0, ready: 1 })
  expect(distinct(ROWS, 'namespace')).toEqual(['bank', 'shop'])
})
