/* small_table.c - a process whose table for asyncio-ps is smaller than any, and with another
 * magic's beginning: what lies behind it is not the table.
 */
#include <stdio.h>
#include <unistd.h>

#include "task/debug_table.h"

__attribute__((section(DEBUG_TABLE_SECTION), used)) char small_table[sizeof DEBUG_TABLE_MAGIC] =
    DEBUG_TABLE_MAGIC;

int main(void)
{
    char byte;

    puts("ready");
    return fflush(stdout) != 0 || read(STDIN_FILENO, &byte, 1) < 0;
}
