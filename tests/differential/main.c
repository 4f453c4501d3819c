/* main.c - runs the programs of a file, one in each line, and writes the trace of each as a line.
 *
 *     differential FILE
 *
 * A line is written when its program has ended, so that whoever counts them knows which program
 * hung or crashed.
 */
#include "interpreter.h"

#include <stdio.h>
#include <stdlib.h>

static void silent(void *arg, enum asyncio_log_level level, const char *message)
{
}

static int run_line(const char *line)
{
    struct program *program = program_new(line);

    if (program == NULL) {
        fprintf(stderr, "not a program: %s\n", line);
        return EXIT_FAILURE;
    }
    int r = program_run(program);
    if (r < 0)
        printf("run failed: %s;", asyncio_error_name(r));
    printf("%.*s\n", (int)program->size, program->trace != NULL ? program->trace : "");
    fflush(stdout);
    program_free(program);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    char *line = NULL;
    size_t size = 0;
    int status = EXIT_SUCCESS;

    if (file == NULL) {
        fprintf(stderr, "usage: differential FILE\n");
        return EXIT_FAILURE;
    }
    asyncio_set_log_function(silent, NULL, ASYNCIO_LOG_ERROR);
    while (status == EXIT_SUCCESS && getline(&line, &size, file) > 0)
        status = run_line(line);
    free(line);
    fclose(file);
    return status;
}
