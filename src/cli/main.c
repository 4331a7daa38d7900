/* Where the program starts; apart from the rest of the room, which tests link with. */
#include "cli/program.h"

int main(int count, char **words)
{
    return program_run(count, words);
}
