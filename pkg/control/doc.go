// Package control is how an operator speaks with a running daemon: HTTP and JSON on a Unix socket, the server and the client.
// openapi.yaml describes it, and test/openapi holds the two together.
//
// What is asked of a stack runs on its shards in tasks of a fraction of a millisecond (stack.Walk), so that a listing of a
// million connections holds up no packet for longer. The server keeps no lock and no copy: each answer is made when it is asked for.
//
// The package knows stack and observe, and what they show; of the daemon it knows what Options say. It opens Unix sockets, and
// nothing else.
package control
