// Package socket makes connections of a stack usable as Go programs know them: net.Listener, net.Conn, Dial.
//
// A Conn and its shard share two rings and a few numbers, all atomic. The receive ring belongs to the shard, which
// fills it and publishes how far; the send ring belongs to the writer, who fills it and publishes how far. Either may
// replace its ring by a larger one, since what the other side may still look at stays as it is: it publishes the new
// ring before the number that leads into it. So neither ever waits for the other, and text is copied once each way.
//
// Where WriteTo runs, it is not copied at all on the way up: much text that comes at once stays where the device has put
// it, and the shard lends it to the reader, in a queue that the two share. It is unread like any other, and the window
// tells the peer so.
//
// Errors are those of the kernel's connections, and a test holds them side by side. Where the kernel has no like: when
// the stack is closed, Read and Write fail with ECONNABORTED, Accept, Dial and Listen with net.ErrClosed.
package socket
