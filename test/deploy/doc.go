// Package deploy reads the files in configs by which others run the daemon, with their own types and schemas, and holds them to
// what the daemon needs. It is a module of its own, so that ours depends on none of them.
package deploy
