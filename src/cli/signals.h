/* Leaving nothing behind when a signal ends the program. */
#ifndef UNPARK_CLI_SIGNALS_H
#define UNPARK_CLI_SIGNALS_H

#include <signal.h>

/* Makes SIGINT, SIGTERM, SIGHUP and SIGQUIT tidy up before they end the program as they would
 * anyway. Signals that were ignored when we were started stay ignored. */
void signals_init(void);

/* Has the file PATH removed, should a signal end the program; NULL: none any more. PATH must stay
 * valid until then. */
void signals_remove_on_death(const char *path);

/* Has a line of progress on stderr cleared (SHOWN not 0), should a signal end the program. */
void signals_clear_on_death(int shown);

/* From now on the first SIGINT makes a descriptor readable instead of ending the program; the next
 * one ends it. Returns that descriptor, which stays ours, or -1 when there is none (then nothing is
 * changed). A SIGINT that was ignored when we were started stays ignored. */
int signals_catch_interrupt(void);

/* Lets SIGINT end the program again, and closes the descriptor. */
void signals_release_interrupt(void);

/* Holds back those signals until signals_release with what this stored in OLD. */
void signals_hold(sigset_t *old);
void signals_release(const sigset_t *old);

#endif
