// Package ledger keeps account of the standards: which requirement is met where, and which test proves it.
//
// For each standard there is a file here, rfc9293.txt and the like, with an entry for each requirement: its number, how
// strong it is, what it asks in our words, and where in the code it is met; or why it is declined, or does not apply. A
// test says by a marker what it proves, in the comment above it, or inside, where it then counts for the subtest that it
// stands in:
//
//	// Proves: RFC 9293 MUST-13, SHLD-4
//
// In a packet script beneath testdata the marker follows # or //. The tests of this package hold entries and markers
// against each other, and against the code: no requirement without a proof or a reason, no marker for what is not
// required, no function that is not there. From both it writes the pages docs/rfc9293.md and the like; a page that is not
// what would be written fails the test.
//
// The package reads the repository's files and imports nothing of it.
package ledger

//go:generate go test . -run TestPages -write
