import { afterAll } from 'vitest'
import { type TestPostgres, testPostgres } from '../support/postgres.ts'
import { type TestServer, tempDir, testServer } from '../support/server.ts'
import { isSkipped } from '../support/skip.ts'
import { embeddedTarget } from './suite/embedded.ts'
import { connectSuite } from './suite/suite.ts'

let postgres: TestPostgres | undefined
let server: TestServer | undefined

connectSuite(
  'embedded server on PostgreSQL',
  async () => {
    postgres = await testPostgres()
    const dir = await tempDir()
    const url = await postgres.database()
    server = await testServer({ store: { dir, url, key: { kind: 'managed', dir } } })
    return embeddedTarget(server)
  },
  isSkipped('postgres'),
)

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await postgres?.[Symbol.asyncDispose]()
})
