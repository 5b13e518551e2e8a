/* What a Python program asks of callgrind: count from here, and write down what was counted. */
#include <valgrind/callgrind.h>

int running(void) { return RUNNING_ON_VALGRIND; }
void start(void) { CALLGRIND_START_INSTRUMENTATION; }
void zero(void) { CALLGRIND_ZERO_STATS; }
void dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
