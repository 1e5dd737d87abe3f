import { afterAll } from 'vitest'
import { type TestPostgres, testPostgres } from '../support/postgres.ts'
import { isSkipped } from '../support/skip.ts'
import { testStore } from '../support/store.ts'
import { storeSuite } from '../unit/server/store/store.suite.ts'

let postgres: TestPostgres | undefined

storeSuite(
  'PostgreSQL',
  async () => {
    postgres ??= await testPostgres()
    return testStore(await postgres.database())
  },
  isSkipped('postgres'),
)

afterAll(() => postgres?.[Symbol.asyncDispose]())
