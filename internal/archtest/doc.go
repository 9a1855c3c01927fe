// Package archtest holds the rules that keep Vibemesh's packages apart: which
// may import which, and what no source file below main may do. They are tests;
// there is nothing to import.
package archtest
