/** The pictures of docs/. `npm run docs` draws them. */
import { arrow, draw, type Diagram } from './diagrams.ts'

/** The pictures, by path. */
export function pictures(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(DIAGRAMS).map(([name, diagram]) => [`docs/images/${name}.svg`, draw(diagram)]),
  )
}

const DIAGRAMS: Readonly<Record<string, Diagram>> = {
  'concepts-flow': {
    size: [860, 300],
    says: 'A OnePasswordItem names an item. Keyferry reads the item from the Connect server, writes the Secret, and restarts the workloads that use it.',
    boxes: [
      {
        at: [20, 40, 170, 70],
        title: 'OnePasswordItem',
        lines: ['what you apply'],
        kind: 'cluster',
      },
      {
        at: [20, 190, 170, 70],
        title: 'item',
        lines: ['behind a Connect server'],
        kind: 'outside',
      },
      { at: [300, 100, 140, 100], title: 'Keyferry', lines: ['one writer'], kind: 'ours' },
      { at: [550, 40, 120, 70], title: 'Secret', lines: ['keys and bytes'], kind: 'cluster' },
      { at: [550, 190, 120, 70], title: 'status', lines: ['of the resource'], kind: 'cluster' },
      {
        at: [730, 40, 110, 70],
        title: 'workloads',
        lines: ['that use it'],
        kind: 'cluster',
      },
    ],
    arrows: [
      {
        points: [
          [190, 75],
          [300, 130],
        ],
        text: 'watched',
        textAt: [255, 90],
      },
      {
        points: [
          [190, 225],
          [300, 170],
        ],
        text: 'polled',
        textAt: [255, 220],
      },
      {
        points: [
          [440, 130],
          [550, 80],
        ],
        text: 'POST or PUT',
        textAt: [485, 90],
      },
      {
        points: [
          [440, 170],
          [550, 220],
        ],
        text: 'Ready, reason',
        textAt: [482, 216],
      },
      {
        points: [
          [730, 75],
          [670, 75],
        ],
        text: 'use',
      },
      {
        points: [
          [440, 150],
          [785, 150],
          [785, 110],
        ],
        text: 'restart, once per content',
        textAt: [690, 142],
        dashed: true,
      },
    ],
  },
  'concepts-versions': {
    size: [860, 250],
    says: 'Versions 3 and 4 of an item give the same content and the same digest, so nothing restarts. Version 5 gives other content, another digest, and a restart that is owed.',
    boxes: [
      { at: [20, 40, 130, 60], title: 'version 3', lines: ['of the item'], kind: 'outside' },
      { at: [20, 150, 130, 60], title: 'content A', lines: ['keys and bytes'], kind: 'cluster' },
      { at: [310, 40, 130, 60], title: 'version 4', lines: ['a tag was added'], kind: 'outside' },
      { at: [310, 150, 130, 60], title: 'content A', lines: ['as before'], kind: 'cluster' },
      { at: [600, 40, 130, 60], title: 'version 5', lines: ['a new password'], kind: 'outside' },
      { at: [600, 150, 130, 60], title: 'content B', lines: ['another digest'], kind: 'cluster' },
    ],
    arrows: [
      {
        points: [
          [85, 100],
          [85, 150],
        ],
      },
      {
        points: [
          [375, 100],
          [375, 150],
        ],
      },
      {
        points: [
          [665, 100],
          [665, 150],
        ],
      },
      {
        points: [
          [150, 180],
          [310, 180],
        ],
        text: 'same digest: no restart',
      },
      {
        points: [
          [440, 180],
          [600, 180],
        ],
        text: 'new digest: a restart',
      },
    ],
  },
  'concepts-ownership': {
    size: [860, 420],
    says: 'A Secret of the wanted name is written when there is none, when its owner is this resource or the proof on it is right, when the former operator made it for this resource, or when it is offered for adoption. Any other is left alone.',
    boxes: [
      { at: [20, 30, 420, 50], title: 'Is there a Secret of that name?', kind: 'plain' },
      { at: [20, 110, 420, 50], title: 'Is its owner this resource, by UID?', kind: 'plain' },
      {
        at: [20, 190, 420, 50],
        title: 'Does it bear our proof for this resource?',
        lines: ['and no other owner that lives'],
        kind: 'plain',
      },
      {
        at: [20, 270, 420, 50],
        title: 'Did the former operator make it for this resource?',
        lines: ['its two annotations, no other owner that lives'],
        kind: 'plain',
      },
      {
        at: [20, 350, 420, 50],
        title: 'Adopt asked for, and allowed on the Secret?',
        lines: ['no controller, no refused type'],
        kind: 'plain',
      },
      { at: [560, 30, 280, 50], title: 'made with POST', kind: 'ours' },
      { at: [560, 110, 280, 50], title: 'ours', kind: 'ours' },
      { at: [560, 190, 280, 50], title: 'ours', lines: ['retained or restored'], kind: 'ours' },
      { at: [560, 270, 280, 50], title: 'taken over', kind: 'ours' },
      {
        at: [560, 350, 280, 50],
        title: 'taken over, else NotOurSecret',
        lines: ['what is not ours stays as it is'],
        kind: 'outside',
      },
    ],
    arrows: [
      arrow([440, 55], [560, 55], 'no'),
      arrow([440, 135], [560, 135], 'yes'),
      arrow([440, 215], [560, 215], 'yes'),
      arrow([440, 295], [560, 295], 'yes'),
      arrow([440, 375], [560, 375], 'yes / no'),
      arrow([230, 80], [230, 110]),
      arrow([230, 160], [230, 190]),
      arrow([230, 240], [230, 270]),
      arrow([230, 320], [230, 350]),
    ],
  },
  'concepts-restart': {
    size: [860, 240],
    says: 'One PUT writes the new content and the debt. After RESTART_DELAY each workload that owes is patched once. When nobody owes and ten seconds have passed, the debt is taken off.',
    boxes: [
      {
        at: [20, 50, 180, 80],
        title: 'one PUT',
        lines: ['new content, and the debt', 'in keyferry.dev/restart'],
        kind: 'ours',
      },
      {
        at: [340, 50, 180, 80],
        title: 'one patch each',
        lines: ['of the pod template', 'of every workload that owes'],
        kind: 'ours',
      },
      {
        at: [660, 50, 180, 80],
        title: 'the debt goes',
        lines: ['nobody owes any more'],
        kind: 'ours',
      },
      {
        at: [180, 170, 500, 50],
        title: 'a crash anywhere here loses nothing',
        lines: ['whoever works next finds the debt on the Secret'],
        kind: 'plain',
      },
    ],
    arrows: [arrow([200, 90], [340, 90], 'RESTART_DELAY'), arrow([520, 90], [660, 90], '10 s')],
  },
  'concepts-poll': {
    size: [860, 330],
    says: 'Each interval the vaults are listed. Where the versions of a vault in use moved, its items are listed; where the version of an item in use is another than the applied one, the resource is worked and reads the item.',
    boxes: [
      {
        at: [20, 30, 220, 60],
        title: 'GET /v1/vaults',
        lines: ['each POLLING_INTERVAL'],
        kind: 'ours',
      },
      {
        at: [20, 140, 220, 60],
        title: 'GET …/items',
        lines: ['of the vaults that moved'],
        kind: 'ours',
      },
      {
        at: [20, 250, 220, 60],
        title: 'GET …/items/ITEM',
        lines: ['of the items that moved'],
        kind: 'ours',
      },
      { at: [500, 30, 240, 60], title: 'done', lines: ['one request, no write'], kind: 'plain' },
      { at: [500, 140, 240, 60], title: 'done', kind: 'plain' },
      {
        at: [500, 250, 240, 60],
        title: 'Secret, status, debt',
        lines: ['if the content is another'],
        kind: 'cluster',
      },
    ],
    arrows: [
      arrow([240, 60], [500, 60], 'versions of used vaults as before'),
      arrow([240, 170], [500, 170], 'versions of used items as applied'),
      arrow([240, 280], [500, 280], 'rendered and compared'),
      arrow([130, 90], [130, 140]),
      arrow([130, 200], [130, 250]),
    ],
  },
  architecture: {
    size: [860, 420],
    says: 'Events reach intake, which enqueues keys and makes Snapshots. The plan stage turns a Snapshot into a Plan. The write stage does what the Plan says. Debts and rollouts restart workloads. Below lie the Kubernetes machinery and the Connect client.',
    boxes: [
      { at: [20, 30, 150, 60], title: 'API server', lines: ['watches'], kind: 'cluster' },
      { at: [20, 120, 150, 60], title: 'Connect server', lines: ['poll'], kind: 'outside' },
      {
        at: [240, 60, 170, 90],
        title: 'src/operator/intake',
        lines: ['events → keys', 'key → Snapshot'],
        kind: 'ours',
      },
      {
        at: [460, 60, 160, 90],
        title: 'src/operator/plan',
        lines: ['pure:', 'Snapshot → Plan'],
        kind: 'ours',
      },
      {
        at: [670, 60, 170, 90],
        title: 'src/operator/write',
        lines: ['Secret → status', '→ Events'],
        kind: 'ours',
      },
      {
        at: [240, 200, 170, 60],
        title: 'debts.ts, rollouts.ts',
        lines: ['who owes; one patch'],
        kind: 'ours',
      },
      {
        at: [470, 200, 370, 60],
        title: 'reconcile.ts, terms.ts, run.ts',
        lines: ['the stages in their order, for as long as a Lease is held'],
        kind: 'ours',
      },
      {
        at: [20, 310, 270, 80],
        title: 'src/kube',
        lines: ['REST, watch, store, queue, Lease;', 'no word of 1Password'],
        kind: 'plain',
      },
      {
        at: [310, 310, 250, 80],
        title: 'src/connect',
        lines: ['model, lookup, client;', 'no word of Kubernetes'],
        kind: 'plain',
      },
      {
        at: [580, 310, 260, 80],
        title: 'src/server',
        lines: ['the Connect server; knows only', 'the model of src/connect'],
        kind: 'plain',
      },
    ],
    arrows: [
      arrow([170, 60], [240, 90]),
      arrow([170, 150], [240, 120]),
      arrow([410, 105], [460, 105]),
      arrow([620, 105], [670, 105]),
      {
        points: [
          [540, 60],
          [540, 30],
          [325, 30],
          [325, 60],
        ],
        text: '“look at …”',
        textAt: [437, 24],
        dashed: true,
      },
      {
        points: [
          [755, 150],
          [755, 175],
          [325, 175],
          [325, 200],
        ],
        text: 'content changed',
        textAt: [550, 170],
      },
    ],
  },
}
