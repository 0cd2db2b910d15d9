#include "clock.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "_cgo_export.h"

int64_t clock_ns;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t first; // the thread on which everything happens but calls that wait

// The call that waits on another thread, of which there is one at most.
static enum {
	none,
	waiting,
	trying,   // it has been told to try again
	returning // it need wait no more, and its caller has not yet looked at the clock
} other;
static int64_t patience; // until when it waits
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;   // it is to try again
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER; // it waits again, or has gone

void begin_time(void)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	clock_ns = (now.tv_sec * 1000000LL + now.tv_usec) * 1000;
	first = pthread_self();
}

static bool on_first(void) { return pthread_equal(pthread_self(), first); }

void enter(void) { pthread_mutex_lock(&lock); }

// settle has the call that waits try again, and waits until it waits again, or until its caller has looked at the clock: for
// a second at most, since a caller need not.
static void settle(void)
{
	struct timespec end;
	if (!on_first() || other != waiting)
		return;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec++;
	other = trying;
	pthread_cond_signal(&moved);
	while (other == trying || other == returning)
		if (pthread_cond_timedwait(&settled, &lock, &end) == ETIMEDOUT)
			break;
}

void leave(void)
{
	settle();
	if (!on_first() && other == trying)
		other = returning;
	pthread_mutex_unlock(&lock);
}

int64_t next_event(void)
{
	int64_t next = tcpdDeadline();
	return other == waiting && patience < next ? patience : next;
}

void pass(int64_t until)
{
	int64_t next;
	while ((next = next_event()) <= until) {
		if (next > clock_ns)
			clock_ns = next;
		tcpdTurn();
		settle();
	}
	if (until > clock_ns)
		clock_ns = until;
}

bool wait_more(int64_t until)
{
	if (clock_ns >= until)
		return false;
	if (on_first()) {
		int64_t next = next_event();
		if (next == EVER && until == EVER)
			return false; // nobody else would ever move the clock
		pass(next < until ? next : until);
		return true;
	}
	patience = until;
	other = waiting;
	pthread_cond_signal(&settled);
	while (other == waiting)
		pthread_cond_wait(&moved, &lock);
	return true;
}

int look_at_clock(struct timeval *tv)
{
	enter();
	clock_ns += 1000;
	tv->tv_sec = clock_ns / 1000000000;
	tv->tv_usec = clock_ns / 1000 % 1000000;
	if (!on_first() && other == returning) {
		other = none;
		pthread_cond_signal(&settled);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
