/* The program: finds the command, parses its options, runs it, reports its failure. */
#ifndef UNPARK_CLI_PROGRAM_H
#define UNPARK_CLI_PROGRAM_H

/* Runs the program with main's arguments; gives its exit status. */
int program_run(int count, char **words);

#endif
