// Package snapshots backs a studio up and restores it.
//
// A backup is one snapshot of a restic repository, so it is there whole or not at all: the dumps of the three databases, the
// Secret's content, the files of all films, and a manifest with the checksums of the first two. restic encrypts all of it
// (AES-256-CTR with Poly1305-AES, so that what was altered is refused and not restored), keeps what did not change only
// once, writes to a volume or to S3-compatible storage, and is what many rely on: see https://restic.readthedocs.io.
//
// The databases are dumped first: a file that is younger than its row is harmless, a row without its file is not. What
// films write is written beside and renamed (docs/contracts.md), so a file is never half of one.
package snapshots
