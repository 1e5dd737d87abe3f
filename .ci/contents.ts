/**
 * The pages of the documentation in the order of their reading: docs/README.md and the navigation of
 * the site are made from this list.
 */

/** A page, with what it says in half a sentence. */
export interface Page {
  /** Path in the repository. */
  readonly path: string
  readonly title: string
  readonly says: string
}

/** A part of the documentation. */
export interface Part {
  readonly title: string
  readonly pages: readonly Page[]
}

const page = (path: string, title: string, says: string): Page => ({ path, title, says })

/** All parts. */
export const CONTENTS: readonly Part[] = [
  {
    title: 'Begin',
    pages: [
      page('docs/quick-start.md', 'Quick start', 'from nothing to a Secret that follows its item'),
      page('docs/concepts.md', 'Concepts', 'how items, Secrets and workloads hang together'),
      page('docs/install.md', 'Install', 'Helm chart, plain manifests, rights, security'),
      page(
        'docs/migration.md',
        'Migrate',
        'from 1Password’s own operator to Keyferry and back, and what differs',
      ),
    ],
  },
  {
    title: 'Use',
    pages: [
      page('docs/resource.md', 'The resource', 'every member, with an example'),
      page('docs/recipes.md', 'Recipes', 'complete manifests for the usual cases'),
      page('docs/restarts.md', 'Restarts', 'who restarts when content changes, and how; GitOps'),
      page('docs/tools.md', 'Tools', 'checking manifests, planning changes, explaining Secrets'),
      page('docs/troubleshooting.md', 'Troubleshooting', 'by symptom'),
    ],
  },
  {
    title: 'Run',
    pages: [
      page('docs/operations.md', 'Operations', 'several replicas, upgrades, keys, backup'),
      page('docs/monitoring.md', 'Monitoring', 'probes, alerts, the dashboard, logs'),
      page('docs/status-page.md', 'Status page', 'which item feeds which Secret, and who uses it'),
      page('docs/doctor.md', 'Doctor', 'what is wrong with an installation, and what to do'),
      page('docs/scaling.md', 'Scaling', 'several replicas at work, and what grows with what'),
      page('docs/tenancy.md', 'Tenancy', 'several teams in one cluster, and the vault policy'),
      page('SECURITY.md', 'Security', 'what an installation can read and change'),
      page(
        'docs/connect.md',
        'The Connect server',
        'running it, tokens, import, what is encrypted',
      ),
      page('docs/image.md', 'The image', 'how it is built, for which machines, what is in it'),
      page('docs/performance.md', 'Performance', 'what it costs, measured'),
    ],
  },
  {
    title: 'Look up',
    pages: [
      page('docs/commands.md', 'Commands', 'every command, its options and exit codes'),
      page('docs/settings.md', 'Settings', 'every setting, its default and bounds'),
      page('docs/annotations.md', 'Annotations', 'every label and annotation with a meaning'),
      page('docs/reasons.md', 'Reasons', 'every reason a resource can show, with its remedy'),
      page('docs/metrics.md', 'Metrics', 'every metric'),
      page('charts/keyferry/README.md', 'Chart values', 'every value of the Helm chart'),
      page('docs/rules/README.md', 'Rules', 'every rule of `keyferry validate`'),
      page(
        'docs/connect-differences.md',
        'Connect’s differences',
        'where the Connect server differs from 1Password’s',
      ),
      page('deploy/vault-policy/README.md', 'Admission', 'the vault policy at the API server'),
      page('docs/library.md', 'Library', 'the Connect client and the mapping for programs'),
    ],
  },
  {
    title: 'Take part',
    pages: [
      page('docs/reliability.md', 'Reliability', 'what is promised, and how that is tried'),
      page('docs/architecture.md', 'Architecture', 'how the code is laid out and why'),
      page('CONTRIBUTING.md', 'Contributing', 'the pipeline, the layers, the tests'),
      page('docs/decisions/README.md', 'Decisions', 'choices of libraries and designs'),
      page('CHANGELOG.md', 'Changelog', 'what changed'),
    ],
  },
]
