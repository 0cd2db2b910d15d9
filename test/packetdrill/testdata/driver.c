// A tool of the tests, in place of packetdrill: it loads the shared object, and makes the calls that it reads, a line each,
// for which it writes "result errno", and what the call tells more. A line that begins with "later" is done on a second
// thread, and answered when it is done.

#define _GNU_SOURCE
#include "../calls.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct calls c;
static unsigned char buf[70000];

static struct sockaddr_in address(const char *host, int port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, host, &sa.sin_addr);
	return sa;
}

static void put_bytes(FILE *out, const unsigned char *p, ssize_t n)
{
	fprintf(out, " ");
	for (ssize_t i = 0; i < n; i++)
		fprintf(out, "%02x", p[i]);
}

static size_t read_bytes(const char *hex)
{
	size_t n = 0;
	unsigned int b;
	while (sscanf(hex + 2 * n, "%2x", &b) == 1)
		buf[n++] = b;
	return n;
}

static long long clock_us(void)
{
	struct timeval tv;
	c.gettimeofday(c.own, &tv, NULL);
	return tv.tv_sec * 1000000LL + tv.tv_usec;
}

// plain makes a call that tells no more than its result.
static long plain(const char *name, const char *rest)
{
	char host[64] = "";
	int a = 0, b = 0;
#define IS(word) (strcmp(name, word) == 0)
	if (IS("bind") || IS("connect")) {
		sscanf(rest, "%d %63s %d", &a, host, &b);
		struct sockaddr_in sa = address(host, b);
		return (IS("bind") ? c.bind : c.connect)(c.own, a, (struct sockaddr *)&sa, sizeof sa);
	}
	if (IS("send"))
		return c.netdev_send(c.own, buf, read_bytes(rest));
	sscanf(rest, "%d %d", &a, &b);
	if (IS("socket"))
		return c.socket(c.own, AF_INET, SOCK_STREAM, 0);
	if (IS("listen"))
		return c.listen(c.own, a, b);
	if (IS("accept"))
		return c.accept(c.own, a, NULL, NULL);
	if (IS("nonblock"))
		return c.fcntl(c.own, a, F_SETFL, O_RDWR | O_NONBLOCK);
	if (IS("write"))
		return c.write(c.own, a, buf, b);
	if (IS("close"))
		return c.close(c.own, a);
	if (IS("kernel-close"))
		return close(a);
	if (IS("usleep"))
		return c.usleep(c.own, a);
	errno = ENOSYS;
	return -1;
}

// call makes one call and writes its answer.
static void call(FILE *out, char *line)
{
	char *name = strtok_r(line, " \n", &line), *rest = line ? line : "";
	int a = 0, b = 0;
	errno = 0;
	sscanf(rest, "%d %d", &a, &b);
	if (IS("receive")) {
		long long at = 0;
		size_t n = sizeof buf;
		int r = c.netdev_receive(c.own, buf, &n, &at);
		fprintf(out, "%d %d %lld", r, errno, at);
		put_bytes(out, buf, n);
	} else if (IS("read")) {
		unsigned char *p = malloc(b);
		ssize_t r = c.read(c.own, a, p, b);
		fprintf(out, "%zd %d", r, errno);
		put_bytes(out, p, r);
		free(p);
	} else if (IS("info")) { // as the tool asks: by the C library's name
		struct tcp_info i = {0};
		socklen_t len = sizeof i;
		int r = getsockopt(a, IPPROTO_TCP, TCP_INFO, &i, &len);
		fprintf(out, "%d %d %d %d %d", r, errno, i.tcpi_state, i.tcpi_snd_cwnd, i.tcpi_unacked);
	} else if (IS("time")) {
		fprintf(out, "0 0 %lld", clock_us());
	} else {
		long r = plain(name, rest);
		fprintf(out, "%ld %d", r, errno);
	}
}

// answer makes a call, and writes a line about it at once. One that was made later tells the time, too, at which the caller
// looks at the clock as soon as it is back, as the tool does.
static void answer(char *line, bool later)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	call(out, line);
	if (later)
		fprintf(out, " %lld", clock_us());
	fclose(out);
	printf("%s%s\n", later ? "later " : "", text);
	fflush(stdout);
	free(text);
}

// asleep waits until a thread waits, as the tool does.
static void asleep(int tid)
{
	char path[64], state;
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	for (;;) {
		FILE *f = fopen(path, "r");
		if (!f)
			return; // it has ended
		int ok = fscanf(f, "%*d (%*[^)]) %c", &state);
		fclose(f);
		if (ok == 1 && state == 'S')
			return;
	}
}

static pthread_barrier_t begun;
static int second;

static void *on_second(void *line)
{
	second = gettid();
	pthread_barrier_wait(&begun);
	answer(line, true);
	free(line);
	return NULL;
}

int main(int argc, char **argv)
{
	static char line[150000];
	void *object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
	void (*init)(const char *, struct calls *) = object ? dlsym(object, "packetdrill_interface_init") : NULL;
	if (!init) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	init(argc > 2 ? argv[2] : "", &c);
	pthread_barrier_init(&begun, NULL, 2);
	while (fgets(line, sizeof line, stdin)) {
		pthread_t thread;
		if (strncmp(line, "later ", 6)) {
			answer(line, false);
			continue;
		}
		pthread_create(&thread, NULL, on_second, strdup(line + 6));
		pthread_detach(thread);
		pthread_barrier_wait(&begun);
		asleep(second);
		printf("0 0\n");
		fflush(stdout);
	}
	c.free(c.own);
	return 0;
}
