#define _GNU_SOURCE

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "_cgo_export.h"

// result makes what Go returns what the C library would.
static long result(long r)
{
	leave();
	if (r == BLOCKED)
		r = -EAGAIN; // nothing can come any more
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

// AT_ONCE is a call that never waits, UNTIL_DONE one that is made again while it has to.
#define AT_ONCE(call) (enter(), result(call))
#define UNTIL_DONE(call)                                        \
	({                                                      \
		long r_;                                        \
		enter();                                        \
		while ((r_ = (call)) == BLOCKED && wait_more(EVER)) \
			;                                       \
		result(r_);                                     \
	})

static void our_free(void *own) { (void)own; }

static int our_socket(void *own, int domain, int type, int protocol)
{
	return AT_ONCE(tcpdSocket(domain, type, protocol));
}

static int our_bind(void *own, int fd, const struct sockaddr *sa, socklen_t n)
{
	return AT_ONCE(tcpdBind(fd, (void *)sa, n));
}

static int our_listen(void *own, int fd, int backlog) { return AT_ONCE(tcpdListen(fd, backlog)); }

static int our_accept(void *own, int fd, struct sockaddr *sa, socklen_t *n)
{
	return UNTIL_DONE(tcpdAccept(fd, sa, n));
}

static int our_connect(void *own, int fd, const struct sockaddr *sa, socklen_t n)
{
	return UNTIL_DONE(tcpdConnect(fd, (void *)sa, n));
}

// receive goes on with what is left while it has to wait, as for MSG_WAITALL.
static ssize_t receive(int fd, struct msghdr *m, int flags)
{
	long r, done = 0;
	enter();
	do {
		long some = 0;
		r = tcpdReceive(fd, m, flags, done, &some);
		done += some;
	} while (r == BLOCKED && wait_more(EVER));
	return result(done > 0 ? done : r);
}

static ssize_t our_recvmsg(void *own, int fd, struct msghdr *m, int flags) { return receive(fd, m, flags); }

static ssize_t our_readv(void *own, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
	return receive(fd, &m, 0);
}

static ssize_t our_recvfrom(void *own, int fd, void *p, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
	struct iovec iov = {p, n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r = receive(fd, &m, flags);
	if (r >= 0 && len)
		*len = 0; // TCP tells no address
	return r;
}

static ssize_t our_recv(void *own, int fd, void *p, size_t n, int flags)
{
	return our_recvfrom(own, fd, p, n, flags, NULL, NULL);
}

static ssize_t our_read(void *own, int fd, void *p, size_t n)
{
	if (!tcpdOurs(fd))
		return read(fd, p, n);
	return our_recvfrom(own, fd, p, n, 0, NULL, NULL);
}

// send_all goes on with what is left while it has to wait.
static ssize_t send_all(int fd, const struct msghdr *m, int flags)
{
	long r, done = 0;
	enter();
	do {
		long some = 0;
		r = tcpdSend(fd, (void *)m, flags, done, &some);
		done += some;
	} while (r == BLOCKED && wait_more(EVER));
	return result(done > 0 ? done : r);
}

static ssize_t our_sendmsg(void *own, int fd, const struct msghdr *m, int flags) { return send_all(fd, m, flags); }

static ssize_t our_writev(void *own, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
	return send_all(fd, &m, 0);
}

static ssize_t our_sendto(void *own, int fd, const void *p, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
	struct iovec iov = {(void *)p, n};
	struct msghdr m = {.msg_name = (void *)sa, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
	return send_all(fd, &m, flags);
}

static ssize_t our_send(void *own, int fd, const void *p, size_t n, int flags)
{
	return our_sendto(own, fd, p, n, flags, NULL, 0);
}

static ssize_t our_write(void *own, int fd, const void *p, size_t n)
{
	if (!tcpdOurs(fd))
		return write(fd, p, n);
	return our_sendto(own, fd, p, n, 0, NULL, 0);
}

static int our_fcntl(void *own, int fd, int cmd, ...)
{
	va_list list;
	va_start(list, cmd);
	long arg = va_arg(list, long);
	va_end(list);
	return AT_ONCE(tcpdFcntl(fd, cmd, arg));
}

static int our_ioctl(void *own, int fd, unsigned long request, ...)
{
	va_list list;
	va_start(list, request);
	int *arg = va_arg(list, int *);
	va_end(list);
	return AT_ONCE(tcpdIoctl(fd, request, arg));
}

static int our_close(void *own, int fd)
{
	if (!tcpdOurs(fd))
		return close(fd);
	return UNTIL_DONE(tcpdClose(fd));
}

static int our_shutdown(void *own, int fd, int how) { return AT_ONCE(tcpdShutdown(fd, how)); }

static int our_getsockopt(void *own, int fd, int level, int name, void *value, socklen_t *n)
{
	return AT_ONCE(tcpdGetsockopt(fd, level, name, value, n));
}

static int our_setsockopt(void *own, int fd, int level, int name, const void *value, socklen_t n)
{
	return AT_ONCE(tcpdSetsockopt(fd, level, name, (void *)value, n));
}

// until is the end of a time-out in milliseconds.
static int64_t until(int ms) { return ms < 0 ? EVER : clock_ns + ms * 1000000LL; }

static int our_poll(void *own, struct pollfd *fds, nfds_t n, int ms)
{
	long r;
	enter();
	int64_t end = until(ms);
	while ((r = tcpdPoll(fds, n)) == 0 && wait_more(end))
		;
	return result(r);
}

static int our_epoll_create(void *own, int size) { return AT_ONCE(tcpdEpollCreate(size)); }

static int our_epoll_ctl(void *own, int ep, int op, int fd, struct epoll_event *e)
{
	return AT_ONCE(tcpdEpollCtl(ep, op, fd, e));
}

static int our_epoll_wait(void *own, int ep, struct epoll_event *list, int most, int ms)
{
	long r;
	enter();
	int64_t end = until(ms);
	while ((r = tcpdEpollWait(ep, list, most)) == 0 && wait_more(end))
		;
	return result(r);
}

static int our_netdev_send(void *own, const void *packet, size_t n)
{
	return AT_ONCE(tcpdDeliver((void *)packet, n));
}

// our_netdev_receive has no time-out of the caller's: after four seconds without a packet it tells that there is none.
static int our_netdev_receive(void *own, void *packet, size_t *n, long long *microseconds)
{
	enter();
	int64_t end = clock_ns + 4000000000LL;
	while (!tcpdSent(packet, n, microseconds)) {
		int64_t next = next_event();
		if (next > end) {
			*n = 0;
			break;
		}
		pass(next);
	}
	return result(0);
}

static int our_usleep(void *own, useconds_t us)
{
	enter();
	pass(clock_ns + us * 1000LL);
	return result(0);
}

static int our_gettimeofday(void *own, struct timeval *tv, struct timezone *tz) { return look_at_clock(tv); }

static int our_pipe(void *own, int fd[2]) { return pipe(fd); }

// our_splice moves text between a pipe, which is the kernel's, and a socket, which is ours, through a buffer.
static ssize_t our_splice(void *own, int in, loff_t *in_at, int out, loff_t *out_at, size_t n, unsigned int flags)
{
	char *p = malloc(n);
	ssize_t r = our_read(own, in, p, n);
	if (r > 0)
		r = our_write(own, out, p, r);
	free(p);
	return r;
}

// getsockopt takes the place of the C library's where this object is loaded first.
int getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
	if (tcpdOurs(fd))
		return our_getsockopt(NULL, fd, level, name, value, n);
	return syscall(SYS_getsockopt, fd, level, name, value, n);
}

// What the tool starts is not to be loaded with this object, too.
__attribute__((constructor)) static void loaded(void) { unsetenv("LD_PRELOAD"); }

void packetdrill_interface_init(const char *flags, struct calls *c)
{
	begin_time();
	tcpdBegin((char *)flags);
	*c = (struct calls){
		NULL, our_free, our_socket, our_bind, our_listen, our_accept, our_connect,
		our_read, our_readv, our_recv, our_recvfrom, our_recvmsg,
		our_write, our_writev, our_send, our_sendto, our_sendmsg,
		our_fcntl, our_ioctl, our_close, our_shutdown, our_getsockopt, our_setsockopt, our_poll,
		our_netdev_send, our_netdev_receive, our_usleep, our_gettimeofday,
		our_epoll_create, our_epoll_ctl, our_epoll_wait, our_pipe, our_splice,
	};
}
