// The clock, and the waiting: see clock.c.

#ifndef CLOCK_H
#define CLOCK_H

#include "calls.h"

void begin_time(void);

// enter and leave are around every call into Go.
void enter(void);
void leave(void);

// pass lets time go on to until, with all that is due by then.
void pass(int64_t until);

// next_event is when something will happen by itself.
int64_t next_event(void);

// wait_more waits until something has happened, and until at the latest; false when that is now.
bool wait_more(int64_t until);

int look_at_clock(struct timeval *);

#define EVER INT64_MAX

#endif
