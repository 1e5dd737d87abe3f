import { type Mutant, unit } from '../mutant.ts'

const SNAPSHOT = 'src/status/snapshot.ts'

/** Of the status page: what it tells, and to whom. */
export const statusMutants: readonly Mutant[] = [
  {
    id: 'tells-literals',
    breaks: ['S6'],
    file: SNAPSHOT,
    find: "return 'a literal of the resource'",
    replace: 'return text',
    harm: 'A password that stands in a resource shows on the status page.',
    killers: [unit('status/snapshot', 'no other text of the resource')],
  },
  {
    id: 'tells-broken-references',
    breaks: ['S6'],
    file: SNAPSHOT,
    find: "return 'a text that is no reference'",
    replace: 'return text',
    harm: 'A text that only looks like a reference shows on the status page.',
    killers: [unit('status/snapshot', 'no other text of the resource')],
  },
  {
    id: 'answers-under-any-name',
    breaks: ['S6'],
    file: 'src/status/server.ts',
    find: "if (!OWN_HOST.test(headers.host ?? ''))",
    replace: 'if (headers.host === undefined)',
    harm: 'A web page whose name is pointed at loopback reads the status page.',
    killers: [unit('status/server', 'a name may be pointed here')],
  },
  {
    id: 'serves-status-to-the-network',
    breaks: ['S6'],
    file: 'src/settings/load.ts',
    find: 'if (!LOOPBACK.includes(host)) throw failure()',
    replace: '',
    harm: 'A typing error shows the status page to every pod.',
    killers: [unit('settings/load', 'is refused by name')],
  },
  {
    id: 'keeps-all-history',
    breaks: ['B1'],
    file: 'src/status/journal.ts',
    find: 'if (count <= MOST) return',
    replace: 'if (count <= MOST * 100) return',
    harm: 'The history of the status page takes all memory.',
    killers: [unit('status/journal', 'bounded')],
  },
  {
    id: 'sends-to-who-is-behind',
    breaks: ['B1'],
    file: 'src/status/feed.ts',
    find: 'if (member.behind) return',
    replace: '',
    harm: 'What is sent to a browser that stands still gathers in memory.',
    killers: [unit('status/feed', 'who is behind')],
  },
]
