import { testStore } from '../../../support/store.ts'
import { storeSuite } from './store.suite.ts'

storeSuite('SQLite', () => testStore())
